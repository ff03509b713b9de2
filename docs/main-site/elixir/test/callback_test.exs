defmodule SiteImages.CallbackTest do
  use ExUnit.Case, async: true

  alias ImageService.{Callback, Json, Signature}
  alias SiteImages.{CallbackController, Loopback, Site}

  test "a callback of the service is verified from its raw body, and stores the picture and the facts once" do
    url = receive_callbacks()
    key = Site.upload()
    settings = Site.settings(callback_url: url <> "/ended")
    assert SiteImages.create_other_sizes(key, settings) == :ok
    assert_receive {:callback, %{body: body, headers: headers}}, 60_000

    {changes, secrets} = {changes(), [Site.secret()]}
    for _ <- 1..2, do: assert(CallbackController.create(body, headers, secrets, settings, changes) == 204)
    assert_received {:picture, ^key, %{"width" => 600, "height" => 450, "placeholder" => %{"lqip" => "data:" <> _}}}
    assert_received {:facts, ^key, %{"place" => %{"latitude" => _}}}
    assert_received {:broadcast, ^key}
    refute_received {:picture, _, _}
    refute_received {:broadcast, _}

    assert CallbackController.create(body <> " ", headers, secrets, settings, changes) == 401
    assert CallbackController.create(body, %{headers | "webhook-timestamp" => "1"}, secrets, settings, changes) == 401

    assert CallbackController.create(
             body,
             headers,
             ["whsec_" <> Base.encode64("another secret, of no use")],
             settings,
             changes
           ) == 401

    refute_received {:broadcast, _}
  end

  test "a takedown removes a picture from the running service, and its receipt the row of the site" do
    url = receive_callbacks()
    {key, service} = {Site.upload(), Site.service()}
    {:ok, job} = ImageService.post_job(service, key)
    assert {:ok, %{"status" => "done"}} = ImageService.wait_for_job(service, job)
    assert Site.all_sizes?(key)

    assert {:ok, %{"key" => ^key} = takedown} = ImageService.take_down(service, key, url <> "/ended")
    assert {:ok, %{"status" => "done"}} = ImageService.wait_for_job(service, takedown)
    assert_receive {:callback, %{body: body, headers: headers}}, 60_000
    assert CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes()) == 204
    assert_received {:remove, ^key, %{"takedown" => %{"removed" => [_ | _] = removed}}}
    assert key in Enum.map(removed, & &1["key"])

    refute File.exists?(Path.join(Site.env("STORE"), key))
    refute Enum.any?(~w(small medium large xlarge), &File.exists?(Site.file(key, &1)))
    assert {:error, %{status: status}} = ImageService.picture(service, key)
    assert status in [404, 410]
  end

  test "a job that failed is settled once" do
    {body, headers} = signed("job.error", %{"key" => "a", "status" => "error", "error" => %{"detail" => "No memory."}})
    changes = changes()

    for _ <- 1..2,
        do: assert(CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes) == 204)

    assert_received {:settle, %{"key" => "a", "error" => %{"detail" => "No memory."}}}
    refute_received {:settle, _}
  end

  test "if the site cannot store a callback, it is not accepted, and comes again" do
    {body, headers} = signed("job.error", %{"key" => "a", "status" => "error"})
    changes = %{changes() | settle: fn _ -> raise "no database" end}

    for _ <- 1..2 do
      assert_raise RuntimeError, fn ->
        CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes)
      end
    end
  end

  test "what could not be read at that moment leaves what is stored" do
    {body, headers} = signed("job.done", %{"key" => "gall/1/1_original.jpg", "picture" => nil, "facts" => nil})
    assert CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes()) == 204
    assert_received {:broadcast, _}
    refute_received {:picture, _, _}
    refute_received {:facts, _, _}
  end

  test "a description with the URLs of the shadow is not stored" do
    {body, headers} = signed("job.done", %{"key" => "gall/1/1_original.jpg", "picture" => %{"width" => 1}})

    for rollout <- [:shadow, :off, 0] do
      settings = Site.settings(rollout: rollout)
      assert CallbackController.create(body, headers, [Site.secret()], settings, changes()) == 204
      refute_received {:picture, _, _}
    end
  end

  test "the receipt of a takedown removes the row, and a takedown that failed is reported" do
    receipt = %{"removed" => [%{"key" => "a", "versions" => 2, "bytes" => 9}]}
    {body, headers} = signed("takedown.done", %{"key" => "a", "status" => "done", "takedown" => receipt})
    assert CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes()) == 204
    assert_received {:remove, "a", %{"takedown" => ^receipt}}

    {body, headers} =
      signed("takedown.error", %{"key" => "a", "status" => "error", "error" => %{"code" => "cancelled"}})

    assert CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes()) == 204
    assert_received {:told, %{key: "a", fault: fault}}
    assert fault =~ "cancelled"
    refute_received {:remove, _, _}
  end

  test "an event of a later version is accepted, and no event is refused" do
    {body, headers} = signed("page.made", %{"key" => "a"})
    assert CallbackController.create(body, headers, [Site.secret()], Site.settings(), changes()) == 204

    for body <- ["", "[]", "{}", ~S({"type": 1, "data": {}}), "\xff"] do
      headers = Signature.headers(Site.secret(), "msg_1", body)
      assert {:error, _} = Callback.read(body, headers, [Site.secret()])
    end
  end

  # Where the running service may send callbacks; each reaches the test.
  defp receive_callbacks do
    test = self()

    answer = fn request, _socket ->
      send(test, {:callback, request})
      {204, [], ""}
    end

    Loopback.start(answer, String.to_integer(Site.env("CALLBACK_PORT")))
  end

  defp signed(type, data) do
    body = Json.encode(%{"type" => type, "timestamp" => "2026-11-23T23:59:59.123Z", "data" => data})
    {body, Signature.headers(Site.secret(), "evt_#{System.unique_integer()}", body)}
  end

  # The site's functions: they send what they would store to the test. `once` is a table in place of a unique index.
  defp changes do
    {test, seen} = {self(), :ets.new(:seen, [:public])}

    once = fn id, process ->
      unless :ets.member(seen, id) do
        process.()
        :ets.insert(seen, {id})
      end
    end

    %{
      once: once,
      store_picture: &send(test, {:picture, &1, &2}),
      store_facts: &send(test, {:facts, &1, &2}),
      settle: &send(test, {:settle, &1}),
      remove: &send(test, {:remove, &1, &2}),
      broadcast: &send(test, {:broadcast, &1})
    }
  end
end
