defmodule SiteImagesTest do
  use ExUnit.Case, async: true

  alias SiteImages.{Loopback, NotMade, Site}

  # Above the deadline, as the machine may be busy; below the 10 s that are the module's own, and the service's hour.
  @deadline_ms 1_500
  @in_time_ms 8_000
  @hour_ms 3_600_000

  test "an upload gets its sizes from the service, and the old way does not run" do
    {key, settings} = {Site.upload(), Site.settings()}
    assert SiteImages.create_other_sizes(key, settings) == :ok
    assert Site.all_sizes?(key)
    assert_receive {:told, %{key: ^key, by: :service, fault: nil}}
    refute_received {:old_way, _}
  end

  test "what is looked at first is rendered then, and every URL of a srcset leads to a picture" do
    key = Site.upload()

    urls =
      for entry <- String.split(SiteImages.srcset(key, 2600, Site.settings()), ", "), do: hd(String.split(entry, " "))

    assert length(urls) == 4

    for url <- [SiteImages.image_url(key, "original", Site.settings()) | urls] do
      assert {:ok, {{_, 200, _}, headers, body}} =
               :httpc.request(:get, {to_charlist(url), []}, [], body_format: :binary)

      assert {~c"content-type", ~c"image/jpeg"} in headers
      assert <<0xFF, 0xD8, _::binary>> = body
    end
  end

  test "a small original is offered at its own width, once; the old code enlarged" do
    for {width, widths} <- [
          {100, "100w"},
          {300, "300w"},
          {512, "300w 512w"},
          {1200, "300w 800w 1200w"},
          {9000, "300w 800w 1200w 2000w"}
        ] do
      assert widths("gall/1/1_original.jpg", width, Site.settings()) == widths
    end

    assert widths("gall/1/1_original.jpg", 100, Site.settings(rollout: :off)) == "300w 800w 1200w 2000w"
  end

  test "pictures of keys have two sizes, and those of articles none" do
    assert widths("keys/7/1_a_original.png", 9000, Site.settings()) == "800w 1200w"
    assert widths("preview/keys/7/1_a_original.png", 9000, Site.settings()) == "800w 1200w"
    assert widths("articles/7/1_a.png", 9000, Site.settings()) == ""

    assert SiteImages.image_url("articles/7/1 a.png", "medium", Site.settings()) ==
             "https://pictures.test/articles/7/1%20a.png"

    assert SiteImages.create_other_sizes("articles/7/1.png", Site.settings(old_way: fn _ -> :nothing end)) == :nothing
  end

  for trouble <- [
        "is down",
        "does not respond",
        "responds by the byte",
        "has no room",
        "has no room for an hour",
        "fails",
        "cuts connections",
        "cuts its response",
        "responds with nonsense",
        "responds with a list",
        "responds with no HTTP",
        "redirects",
        "never ends a job",
        "has another status",
        "has a job without an id",
        "fails a job without a reason",
        "refuses without a reason"
      ] do
    test "a service that #{trouble} loses no upload: the old way runs within the deadline" do
      service = %{Site.service(url(unquote(trouble))) | deadline_ms: @hour_ms}
      settings = Site.settings(service: service, deadline_ms: @deadline_ms)
      {key, began} = {Site.upload(), System.monotonic_time(:millisecond)}
      assert SiteImages.create_other_sizes(key, settings) == :ok
      assert Site.all_sizes?(key)
      assert_receive {:old_way, ^key}
      assert_receive {:told, %{by: :old_way, fault: fault}}
      assert String.length(fault) > 3
      assert System.monotonic_time(:millisecond) - began < @in_time_ms
      refute_received {:told, _}
    end
  end

  test "another secret is refused, a short one is not used, and the old way runs" do
    for {secret, fault} <- [
          {"whsec_" <> Base.encode64("another secret, of no use here"), "401"},
          {"whsec_", "openssl rand"}
        ] do
      service = %{Site.service() | secret: secret}
      key = Site.upload()
      assert SiteImages.create_other_sizes(key, Site.settings(service: service)) == :ok
      assert_receive {:old_way, ^key}
      assert_receive {:told, %{fault: told}}
      assert told =~ fault
    end
  end

  test "what neither can render is an error with both reasons, and the original stays" do
    key = Site.upload(Site.env("NO_PHOTO"))

    for {old_way, reason} <- [
          {fn _ -> {:error, :no_memory} end, "no_memory"},
          {fn _ -> raise "Vix failed" end, "Vix failed"}
        ] do
      assert {:error, %NotMade{key: ^key} = fault} = SiteImages.create_other_sizes(key, Site.settings(old_way: old_way))
      assert Exception.message(fault) =~ ~r/image.*old way: .*#{reason}/
    end

    assert File.exists?(Site.file(key, "original"))
  end

  test "with a callback, an upload waits for the queue only" do
    test = self()

    url =
      Loopback.start(fn request, _ ->
        send(test, {:body, request.body})
        {202, [], ~S({"id": "1", "status": "queued"})}
      end)

    key = Site.upload()
    settings = Site.settings(service: Site.service(url), callback_url: "https://www.test/ended")
    assert SiteImages.create_other_sizes(key, settings) == :ok
    assert_receive {:body, body}
    assert ImageService.Json.decode(body) == {:ok, %{"key" => key, "callback_url" => "https://www.test/ended"}}
    assert_receive {:told, %{by: :service}}
    refute_received {:old_way, _}
  end

  test "in the shadow the old way runs, the service is ordered, and its faults are only reported" do
    for url <- [Site.env("SERVICE_URL"), "http://127.0.0.1:9"] do
      settings = Site.settings(rollout: :shadow, service: Site.service(url))
      key = Site.upload()
      assert SiteImages.create_other_sizes(key, settings) == :ok
      assert_received {:old_way, ^key}
      assert_receive {:told, %{key: ^key, by: :shadow, fault: fault}}, 30_000
      assert is_nil(fault) == (url == Site.env("SERVICE_URL"))

      assert SiteImages.image_url(key, "small", settings) ==
               "https://pictures.test/" <> String.replace(key, "original", "small")
    end
  end

  test "in the shadow a job that failed is only reported: the old way ran with the upload" do
    job = %{
      "key" => "gall/58/58_0_original.jpg",
      "status" => "error",
      "error" => %{"code" => "corrupt", "detail" => "It ends early."}
    }

    assert SiteImages.settle(job, Site.settings(rollout: :shadow)) == :ok
    assert_received {:told, %{by: :shadow, fault: "It ends early."}}
    refute_received {:old_way, _}
  end

  test "a job that failed runs the old way, and one that is done nothing" do
    key = Site.upload()
    job = %{"key" => key, "status" => "error", "error" => %{"code" => "too-large", "detail" => "No memory."}}
    assert SiteImages.settle(job, Site.settings()) == :ok
    assert_received {:old_way, ^key}
    assert_received {:told, %{by: :old_way, fault: "No memory."}}
    assert {:error, %NotMade{}} = SiteImages.settle(job, Site.settings(old_way: fn _ -> {:error, :no_memory} end))
    assert SiteImages.settle(%{job | "status" => "done"}, Site.settings()) == :ok
    refute_received {:old_way, _}
  end

  test "what was taken down does not come back by the old way" do
    problem = ~S({"type": "https://images.test/problems/taken-down", "detail": "It was taken down."})
    url = Loopback.start(fn _, _ -> {409, [], problem} end)
    key = Site.upload()
    assert SiteImages.create_other_sizes(key, Site.settings(service: Site.service(url))) == :ok
    job = %{"key" => key, "status" => "error", "error" => %{"code" => "taken-down", "detail" => "It was taken down."}}
    assert SiteImages.settle(job, Site.settings()) == :ok
    for _ <- 1..2, do: assert_receive({:told, %{key: ^key, by: :service, fault: "" <> _}})
    refute_received {:old_way, _}
  end

  test "off is as before, without a request to the service" do
    test = self()
    url = Loopback.start(fn _, _ -> send(test, :requested) && {500, [], ""} end)
    key = Site.upload()
    assert SiteImages.create_other_sizes(key, Site.settings(rollout: :off, service: Site.service(url))) == :ok
    assert Site.all_sizes?(key)
    refute_received :requested
    refute_received {:told, _}
  end

  test "a percentage is always the same originals, grows by more of them, and is as large as it is named" do
    keys = for one <- 0..19_999, do: "gall/#{rem(one, 900)}/#{rem(one, 900)}_#{1_586_986_467 + one}_original.jpg"

    Enum.reduce([0, 1, 10, 50, 100], MapSet.new(), fn share, smaller ->
      chosen = MapSet.new(Enum.filter(keys, &SiteImages.by_service?(&1, share)))
      assert abs(MapSet.size(chosen) / length(keys) - share / 100) < 0.01
      assert MapSet.subset?(smaller, chosen)
      chosen
    end)
  end

  test "a percentage is of the same originals as in the other client" do
    {:ok, %{"buckets" => buckets}} = Site.env("VECTORS") |> File.read!() |> ImageService.Json.decode()

    for {key, bucket} <- buckets do
      assert SiteImages.by_service?(key, bucket + 0.01)
      refute SiteImages.by_service?(key, bucket)
    end
  end

  test "a rollout is read from a word, and nonsense is none" do
    for {word, rollout} <- [
          {"off", :off},
          {"", :off},
          {nil, :off},
          {"shadow", :shadow},
          {"on", :on},
          {"10", 10.0},
          {"0.5 %", 0.5},
          {" 100% ", 100.0}
        ] do
      assert SiteImages.rollout_of(word) == rollout
    end

    for word <- ["ON", "101", "-1", "half", "1 0"] do
      assert_raise ArgumentError, ~r/is no rollout/, fn -> SiteImages.rollout_of(word) end
    end
  end

  test "a listener that fails fails no upload" do
    assert SiteImages.create_other_sizes(Site.upload(), Site.settings(tell: fn _ -> raise "no log" end)) == :ok
  end

  defp url("is down"), do: "http://127.0.0.1:9"
  defp url(trouble), do: Loopback.start(&answer(trouble, &1, &2))

  defp answer("does not respond", _, _), do: Process.sleep(:infinity)
  defp answer("has no room", _, _), do: {503, [{"retry-after", "1"}], "{}"}
  defp answer("has no room for an hour", _, _), do: {503, [{"retry-after", "3600"}], "{}"}
  defp answer("fails", _, _), do: {500, [], "oops"}
  defp answer("responds with nonsense", _, _), do: {202, [], "<html>"}
  defp answer("responds with a list", _, _), do: {202, [], "[]"}
  defp answer("redirects", _, _), do: {307, [{"location", "http://127.0.0.1:9/"}], ""}
  defp answer("never ends a job", _, _), do: {202, [], ~S({"id": "1", "status": "queued"})}
  defp answer("has another status", _, _), do: {202, [], ~S({"id": "1", "status": ["done"]})}
  defp answer("has a job without an id", _, _), do: {202, [], ~S({"id": {}, "status": "queued"})}
  defp answer("fails a job without a reason", _, _), do: {202, [], ~S({"id": "1", "status": "error", "error": "no"})}
  defp answer("refuses without a reason", _, _), do: {422, [], ~S({"type": {}, "detail": ["no"]})}
  defp answer("cuts connections", _, _), do: :done
  defp answer("cuts its response", _, socket), do: sent(socket, "HTTP/1.1 202 A\r\ncontent-length: 99\r\n\r\n{")
  defp answer("responds with no HTTP", _, socket), do: sent(socket, "\0\r\n\r\n")

  defp answer("responds by the byte", _, socket) do
    sent(socket, "HTTP/1.1 202 Accepted\r\n\r\n")
    Enum.each(1..1_000, fn _ -> Process.sleep(50) && sent(socket, " ") end)
    :done
  end

  defp sent(socket, bytes), do: :gen_tcp.send(socket, bytes) && :done

  defp widths(key, width, settings) do
    Enum.map_join(Regex.scan(~r/ (\d+w)/, SiteImages.srcset(key, width, settings)), " ", fn [_, one] -> one end)
  end
end
