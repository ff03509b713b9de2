defmodule SiteImages.Site do
  @moduledoc "A site for tests: its settings, its uploads, an old way that is seen, and the service of the environment."

  @sizes ~w(small medium large xlarge)

  @doc "Return a setting of the test run; tests/main_site/test_elixir.py sets them."
  def env(name), do: System.fetch_env!(name)

  def secret, do: env("WEBHOOK_SECRET")

  def service(url \\ env("SERVICE_URL")), do: %ImageService{url: url, secret: secret(), deadline_ms: 60_000}

  @doc "Upload an original under a new key, as the presigned PUT of a browser does, and return the key."
  def upload(photo \\ env("PHOTO"), name \\ "") do
    key = "gall/58/58_#{System.unique_integer([:positive])}#{name}_original.jpg"
    path = Path.join(env("STORE"), key)
    File.mkdir_p!(Path.dirname(path))
    File.cp!(photo, path)
    key
  end

  @doc "Return settings whose old way and events are sent to the test."
  def settings(changes \\ []) do
    test = self()

    old_way = fn key ->
      send(test, {:old_way, key})
      for size <- @sizes, do: File.write!(file(key, size), "made by the old way")
      :ok
    end

    struct!(
      %SiteImages{
        service: service(),
        public_url: "https://pictures.test",
        old_way: old_way,
        rollout: :on,
        deadline_ms: 60_000,
        tell: &send(test, {:told, &1})
      },
      changes
    )
  end

  def file(key, size), do: Path.join(env("STORE"), String.replace(key, "_original.", "_#{size}."))

  def all_sizes?(key), do: Enum.all?(@sizes, &(File.stat!(file(key, &1)).size > 0))
end
