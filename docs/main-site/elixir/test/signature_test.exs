defmodule ImageService.SignatureTest do
  use ExUnit.Case, async: true

  alias ImageService.{BadSecret, Json, Signature}

  @secret "whsec_" <> Base.encode64("a secret of 24 bytes or more")
  @other "whsec_" <> Base.encode64("another one of 24 bytes too!")
  @now 1_800_000_000

  defp vectors do
    {:ok, %{"signatures" => vectors}} = System.fetch_env!("VECTORS") |> File.read!() |> Json.decode()
    vectors
  end

  test "signatures are those of every other client and of the service" do
    for vector <- vectors() do
      headers = Signature.headers(vector["secret"], vector["id"], vector["content"], vector["timestamp"])
      assert {"webhook-signature", vector["signature"]} in headers, inspect(vector)

      assert Signature.verify(vector["content"], headers, [vector["secret"]], vector["timestamp"]) ==
               {:ok, vector["id"]}
    end
  end

  test "while a secret is changed both are good, in any order of the signatures" do
    for {signing, known} <- [{@secret, [@other, @secret]}, {@other, [@secret, @other]}] do
      headers = Signature.headers(signing, "msg_1", "body", @now)
      assert Signature.verify("body", headers, known, @now) == {:ok, "msg_1"}
    end

    [id, time, {name, first}] = Signature.headers(@secret, "msg_1", "body", @now)
    [_, _, {_, second}] = Signature.headers(@other, "msg_1", "body", @now)
    headers = [id, time, {name, "v1a,zzz #{second} #{first}"}]
    assert Signature.verify("body", headers, [@secret], @now) == {:ok, "msg_1"}
  end

  test "names of headers may be in any case" do
    headers = for {name, value} <- Signature.headers(@secret, "msg_1", "body", @now), do: {String.upcase(name), value}
    assert Signature.verify("body", headers, [@secret], @now) == {:ok, "msg_1"}
  end

  test "five minutes are tolerated, and no second more" do
    headers = Signature.headers(@secret, "msg_1", "body", @now)

    for {now, good} <- [{@now - 300, true}, {@now + 300, true}, {@now - 301, false}, {@now + 301, false}] do
      assert match?({:ok, _}, Signature.verify("body", headers, [@secret], now)) == good
    end
  end

  test "what the service did not sign is refused" do
    good = Map.new(Signature.headers(@secret, "msg_1", "body", @now))

    for {content, headers, secret} <- [
          {"body ", good, @secret},
          {"body", good, @other},
          {"body", %{}, @secret},
          {"body", Map.delete(good, "webhook-id"), @secret},
          {"body", %{good | "webhook-id" => "msg_2"}, @secret},
          {"body", %{good | "webhook-id" => ""}, @secret},
          {"body", %{good | "webhook-timestamp" => "#{@now + 1}"}, @secret},
          {"body", %{good | "webhook-timestamp" => "+#{@now}"}, @secret},
          {"body", %{good | "webhook-timestamp" => "yesterday"}, @secret},
          {"body", %{good | "webhook-timestamp" => "\xff"}, @secret},
          {"body", %{good | "webhook-timestamp" => String.duplicate("9", 100_000)}, @secret},
          {"body", %{good | "webhook-signature" => ""}, @secret},
          {"body", %{good | "webhook-signature" => "v1,%"}, @secret},
          {"body", %{good | "webhook-signature" => "v1,"}, @secret},
          {"body", %{good | "webhook-signature" => String.replace(good["webhook-signature"], "v1,", "v2,")}, @secret}
        ] do
      assert {:error, reason} = Signature.verify(content, headers, [secret], @now)
      assert reason =~ "sign"
    end
  end

  test "a secret that anyone can guess neither signs nor verifies" do
    {:ok, bad} = System.fetch_env!("BAD_SECRETS") |> Json.decode()
    headers = Signature.headers(@secret, "msg_1", "body", @now)

    for secret <- bad do
      assert_raise BadSecret, fn -> Signature.headers(secret, "msg_1", "body") end
      assert_raise BadSecret, fn -> Signature.verify("body", headers, [@secret, secret], @now) end
    end

    assert_raise BadSecret, fn -> Signature.verify("body", headers, [], @now) end
  end
end
