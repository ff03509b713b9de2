defmodule SiteImages do
  @moduledoc """
  The site's half of the cut-over, behind one flag. It orders the sizes of an uploaded original from the service, falls
  back to the old code if that fails, and builds the URLs of pictures.
  """

  alias ImageService.{Error, Http}

  @widths [{"small", 300}, {"medium", 800}, {"large", 1200}, {"xlarge", 2000}]
  @key_sizes ["medium", "large"]

  @enforce_keys [:service, :public_url, :old_way]
  defstruct [
    :service,
    :public_url,
    :old_way,
    :callback_url,
    rollout: :off,
    deadline_ms: 10_000,
    tell: &__MODULE__.ignore/1
  ]

  @typedoc """
  The stage of the cut-over. `:off` runs the old code only. `:shadow` also posts a job, which the service renders into
  its shadow. A number is the percentage of originals that the service renders. `:on` is all of them.
  """
  @type rollout :: :off | :shadow | number | :on

  @typedoc """
  - `service`: an `ImageService`, with a secret where jobs are posted
  - `public_url`: the public base URL of the store, for URLs of the old code
  - `old_way`: renders all sizes of an original with the old code; returns `:ok` or an error, or raises
  - `callback_url`: where the service reports the end of a job, to `SiteImages.CallbackController`. An upload then waits
    only until its job is in the queue
  - `deadline_ms`: the time limit for the service, from the post to the end of the job, before the fallback runs
  - `tell`: called with the result of each order; it contains the message of an error, never a secret
  """
  @type t :: %__MODULE__{
          service: ImageService.t(),
          public_url: String.t(),
          old_way: (String.t() -> :ok | {:error, term}),
          callback_url: String.t() | nil,
          rollout: rollout,
          deadline_ms: pos_integer,
          tell: (event -> term)
        }

  @typedoc "Which side rendered the sizes of an original, in how many milliseconds, and why not the service."
  @type event :: %{key: String.t(), by: :service | :old_way | :shadow, ms: non_neg_integer, fault: String.t() | nil}

  defmodule NotMade do
    @moduledoc "Both the service and the old code failed. The original is still in the store: call again."
    defexception [:key, :service, :old]

    @impl true
    def message(fault) do
      "no sizes of #{fault.key}: #{SiteImages.sentence(fault.service)}; and the old way: #{SiteImages.sentence(fault.old)}"
    end
  end

  @doc """
  Render all sizes of an uploaded original; replaces the site's own task.

  If the service fails, or exceeds its deadline, the old code runs instead. In the shadow, and for originals outside of
  the percentage, the old code runs as before, without waiting for the service. Returns `{:error, %NotMade{}}` if both
  failed.
  """
  @spec create_other_sizes(String.t(), t) :: :ok | {:error, term}
  def create_other_sizes(key, %__MODULE__{rollout: :shadow} = settings) do
    if sizes(key) != [], do: Task.start(fn -> shadow(key, settings) end)
    settings.old_way.(key)
  end

  def create_other_sizes(key, %__MODULE__{} = settings) do
    if by_service?(key, settings.rollout) do
      began = now()

      case ordered(key, settings) do
        {:ok, _job} -> tell(settings, key, :service, began, nil)
        {:error, fault} -> fall_back(key, settings, began, fault)
      end
    else
      settings.old_way.(key)
    end
  end

  @doc "Process the end of a job that a callback reported: a failed job runs the old code; in the shadow it is reported."
  @spec settle(map, t) :: :ok | {:error, term}
  def settle(%{"status" => "error", "key" => key} = job, %__MODULE__{} = settings) do
    fault = Error.of_job(job)

    if settings.rollout == :shadow,
      do: tell(settings, key, :shadow, now(), fault),
      else: fall_back(key, settings, now(), fault)
  end

  def settle(%{}, %__MODULE__{}), do: :ok

  @doc "Parse a rollout from an environment variable: off (or empty), shadow, on, or a percentage."
  @spec rollout_of(String.t() | nil) :: rollout
  def rollout_of(text) do
    word = String.trim(text || "")

    case {word, Float.parse(String.replace(word, ~r/ ?%$/, ""))} do
      {"", _} -> :off
      {word, _} when word in ["off", "shadow", "on"] -> String.to_existing_atom(word)
      {_, {share, ""}} when share >= 0 and share <= 100 -> share
      _ -> raise ArgumentError, "#{inspect(text)} is no rollout: off, shadow, on, or a share from 0 to 100"
    end
  end

  @doc "Return whether the service renders an original. If it does for a percentage, it does for every larger one."
  @spec by_service?(String.t(), rollout) :: boolean
  def by_service?(key, rollout) when is_number(rollout), do: sizes(key) != [] and bucket(key) < rollout
  def by_service?(key, rollout), do: sizes(key) != [] and rollout == :on

  @doc """
  Return the names and the widths of the sizes of an original: four of a gall, two of the pictures of keys, and none of
  articles. They are those of the service's sizes file.
  """
  @spec sizes(String.t()) :: [{String.t(), pos_integer}]
  def sizes("preview/" <> key), do: sizes(key)
  def sizes("gall/" <> _), do: @widths
  def sizes("keys/" <> _), do: Enum.filter(@widths, fn {size, _} -> size in @key_sizes end)
  def sizes(_key), do: []

  @doc "Return the URL of a size of an original, or of the original itself, which is the size `original`."
  @spec image_url(String.t(), String.t(), t) :: String.t()
  def image_url(key, size, %__MODULE__{} = settings) do
    if by_service?(key, settings.rollout) do
      ImageService.image_url(settings.service, key, size)
    else
      "#{settings.public_url}/#{ImageService.path(String.replace(key, ~r/_original(?=\.[^.]*$)/, "_" <> size))}"
    end
  end

  @doc """
  Return the `srcset` of an original that is `width` pixels wide, upright, for rows that have no description yet.

  The service enlarges nothing, so each size is offered with its true width, once. A size of the old code, which
  enlarged, has the width of its name. See `ImageService.Page.srcset/1` for rows that have a description.
  """
  @spec srcset(String.t(), pos_integer, t) :: String.t()
  def srcset(key, width, %__MODULE__{} = settings) do
    sizes = sizes(key)
    # In Erlang's order of terms, every number is less than an atom.
    most = if by_service?(key, settings.rollout), do: width, else: :infinity
    {narrower, wider} = Enum.split_while(sizes, fn {_, one} -> one < most end)

    Enum.map_join(narrower ++ Enum.take(wider, 1), ", ", fn {size, one} ->
      "#{image_url(key, size, settings)} #{min(one, most)}w"
    end)
  end

  @doc false
  def sentence(fault) when is_exception(fault), do: Exception.message(fault)
  def sentence(fault), do: inspect(fault)

  @doc false
  def ignore(_event), do: :ok

  defp ordered(key, settings) do
    until = Http.deadline(settings.deadline_ms)

    with {:ok, job} <- post(key, settings, until) do
      if settings.callback_url, do: {:ok, job}, else: ImageService.wait_for_job(settings.service, job, until)
    end
  rescue
    fault -> {:error, fault}
  catch
    :exit, reason -> {:error, reason}
  end

  defp post(key, settings, until) do
    order = if settings.callback_url, do: %{callback_url: settings.callback_url}, else: %{}
    ImageService.post_job(settings.service, key, order, until)
  end

  defp shadow(key, settings) do
    began = now()

    case post(key, settings, Http.deadline(settings.deadline_ms)) do
      {:ok, _job} -> tell(settings, key, :shadow, began, nil)
      {:error, fault} -> tell(settings, key, :shadow, began, fault)
    end
  rescue
    fault -> tell(settings, key, :shadow, now(), fault)
  end

  # The old code would bring back what was taken down.
  defp fall_back(key, settings, began, %Error{code: "taken-down"} = fault),
    do: tell(settings, key, :service, began, fault)

  defp fall_back(key, settings, began, fault) do
    case by_old_way(key, settings) do
      {:error, old} -> {:error, %NotMade{key: key, service: fault, old: old}}
      _ -> tell(settings, key, :old_way, began, fault)
    end
  end

  defp by_old_way(key, settings) do
    settings.old_way.(key)
  rescue
    fault -> {:error, fault}
  end

  defp tell(settings, key, by, began, fault) do
    settings.tell.(%{key: key, by: by, ms: now() - began, fault: fault && sentence(fault)})
    :ok
  rescue
    _ -> :ok
  end

  defp now, do: System.monotonic_time(:millisecond)

  # A number from 0 to 99.99, derived from the key: FNV-1a (32 bits), mixed by the finalizer of MurmurHash3.
  defp bucket(key) do
    import Bitwise
    hash = for <<byte <- key>>, reduce: 0x811C9DC5, do: (hash -> bxor(hash, byte) * 0x01000193 &&& 0xFFFFFFFF)
    hash = bxor(hash, hash >>> 16) * 0x85EBCA6B &&& 0xFFFFFFFF
    hash = bxor(hash, hash >>> 13) * 0xC2B2AE35 &&& 0xFFFFFFFF
    rem(bxor(hash, hash >>> 16), 10_000) / 100
  end
end
