defmodule ImageServiceTest do
  use ExUnit.Case, async: true

  alias ImageService.{Error, Json, Signature}
  alias SiteImages.{Loopback, Site}

  @done ~S({"id": "1", "status": "done", "derivatives": [], "error": null})

  test "an order is rendered, described, and read back by its facts" do
    key = Site.upload()

    assert {:ok, %{"status" => status} = job} =
             ImageService.post_job(Site.service(), key, %{sizes: ["small", "medium"]})

    assert status in ["queued", "processing", "done"]
    assert {:ok, %{"status" => "done", "derivatives" => [_, _]}} = ImageService.wait_for_job(Site.service(), job)

    # It is stored on its side.
    assert {:ok, %{"width" => 600, "height" => 450, "srcset" => %{"image/jpeg" => srcset}}} =
             ImageService.picture(Site.service(), key)

    assert Regex.scan(~r/ (\d+)w/, srcset, capture: :all_but_first) == [["300"], ["600"]]
    assert {:ok, %{"place" => %{"latitude" => _}, "format" => "jpeg"}} = ImageService.facts(Site.service(), key)
  end

  test "keys with spaces, plus, percent and every script come through, in signed addresses too" do
    key = Site.upload(Site.env("PHOTO"), "_a b+c%2F ü 花'\"\\~!*()&=?#")
    assert {:ok, job} = ImageService.post_job(Site.service(), key)
    assert {:ok, %{"key" => ^key}} = ImageService.wait_for_job(Site.service(), job)
    assert {:ok, %{"key" => ^key}} = ImageService.picture(Site.service(), key)
    assert {:ok, %{"key" => ^key}} = ImageService.facts(Site.service(), key)
  end

  test "what the service refuses has its status, its code and its sentence" do
    assert {:error, %Error{kind: :refused, status: 404, code: "not-found"} = fault} =
             ImageService.picture(Site.service(), "gall/1/1_none_original.jpg")

    assert Exception.message(fault) =~ "404"
    other = %{Site.service() | secret: "whsec_" <> Base.encode64("another secret, of no use here")}
    assert {:error, %Error{status: 401}} = ImageService.post_job(other, "gall/1/1_original.jpg")
    assert {:error, %Error{status: 401}} = ImageService.facts(other, "gall/1/1_original.jpg")
    assert {:error, %Error{status: 401}} = ImageService.facts(%{other | secret: nil}, "gall/1/1_original.jpg")
  end

  test "a job that fails has the code of its error" do
    {:ok, job} = ImageService.post_job(Site.service(), Site.upload(Site.env("NO_PHOTO")))
    assert {:error, %Error{kind: :failed, code: code}} = ImageService.wait_for_job(Site.service(), job)
    assert code =~ "image"
  end

  test "a takedown is a signed request without a body, and names where its receipt goes" do
    test = self()

    url =
      Loopback.start(fn request, _socket ->
        send(test, {:request, request})
        first? = Process.info(test, :message_queue_len) == {:message_queue_len, 1}
        if first?, do: {503, [{"retry-after", "120"}], "{}"}, else: {202, [], ~S({"id": "1", "status": "queued"})}
      end)

    key = "gall/58/58_1 ü_original.jpg"
    assert {:error, %Error{status: 503, retry_ms: 120_000}} = ImageService.take_down(Site.service(url), key)
    assert {:ok, %{"id" => "1"}} = ImageService.take_down(Site.service(url), key, "https://www.test/ended?a=1&b=ü")

    for query <- ["", "?callback_url=https%3A%2F%2Fwww.test%2Fended%3Fa%3D1%26b%3D%C3%BC"] do
      assert_receive {:request, %{method: "DELETE", address: address, headers: headers, body: ""}}
      assert address == "/v1/images/gall/58/58_1%20%C3%BC_original.jpg" <> query
      assert {:ok, _id} = Signature.verify("DELETE " <> address, headers, [Site.secret()])
    end
  end

  test "the origin of a service that shares its secret with another is signed" do
    test = self()
    url = Loopback.start(fn request, _ -> send(test, {:headers, request.headers}) && {200, [], "{}"} end)
    assert {:ok, _} = ImageService.facts(%{Site.service(url) | origin: "https://images.test"}, "a")
    assert_receive {:headers, headers}
    assert {:ok, _} = Signature.verify("GET https://images.test/v1/facts/a", headers, [Site.secret()])
  end

  test "an order that is retried keeps its id" do
    test = self()

    url =
      Loopback.start(fn request, _socket ->
        send(test, {:id, request.headers["webhook-id"]})
        many? = Process.info(test, :message_queue_len) >= {:message_queue_len, 3}
        if many?, do: {202, [], @done}, else: {503, [], "{}"}
      end)

    assert {:ok, %{"status" => "done"}} = ImageService.post_job(Site.service(url), "gall/1/1_original.jpg")
    assert_receive {:id, id}
    assert_receive {:id, ^id}
    assert_receive {:id, ^id}
  end

  test "the sent order is what the service documents" do
    test = self()
    url = Loopback.start(fn request, _ -> send(test, {:body, request}) && {202, [], @done} end)
    order = %{sizes: ["small"], force: true, callback_url: "https://www.test/ended"}
    assert {:ok, _} = ImageService.post_job(Site.service(url), "a", order)
    assert_receive {:body, %{body: body, headers: headers, address: "/v1/jobs", method: "POST"}}

    assert {:ok, Map.new(order, fn {name, value} -> {to_string(name), value} end) |> Map.put("key", "a")} ==
             Json.decode(body)

    assert {:ok, _} = Signature.verify(body, headers, [Site.secret()])
    assert headers["content-type"] == "application/json"
  end

  test "a response that comes too late is in no mailbox" do
    test = self()

    url =
      Loopback.start(fn _, _ ->
        send(test, {:serving, self()})
        receive do: (:respond -> {200, [], "{}"})
      end)

    assert {:error, %Error{kind: :unreachable}} = ImageService.picture(%{Site.service(url) | deadline_ms: 500}, "a")
    assert_receive {:serving, server}, 30_000
    send(server, :respond)
    refute_receive _, 500
  end

  test "a certificate that no authority has signed is refused" do
    %{server_config: config} = :public_key.pkix_test_data(%{server_chain: chain(), client_chain: chain()})
    {:ok, listener} = :ssl.listen(0, [ip: {127, 0, 0, 1}, reuseaddr: true, log_level: :none] ++ config)
    {:ok, {_, port}} = :ssl.sockname(listener)

    spawn_link(fn ->
      {:ok, socket} = :ssl.transport_accept(listener)
      :ssl.handshake(socket)
    end)

    assert {:error, %Error{kind: :unreachable, message: message}} =
             ImageService.picture(Site.service("https://127.0.0.1:#{port}"), "a")

    assert message =~ "tls_alert"
  end

  test "a secret is in no text that describes the service" do
    refute inspect(Site.service()) =~ Site.secret()
  end

  defp chain, do: %{root: [key: {:rsa, 2048, 65_537}], intermediates: [], peer: [key: {:rsa, 2048, 65_537}]}
end
