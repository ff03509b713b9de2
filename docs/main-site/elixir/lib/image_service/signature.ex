defmodule ImageService.Signature do
  @moduledoc """
  Signatures of requests and callbacks by Standard Webhooks: HMAC-SHA256 over id, time and content. The content is the
  body, or `<METHOD> <address as sent>` of a request without a body.
  """

  @tolerance_seconds 300
  @secret ~r/\Awhsec_([A-Za-z0-9+\/]{32,})={0,2}\z/

  @type headers :: [{String.t(), String.t()}] | %{String.t() => String.t()}

  @doc "Return the headers that sign a content; without a secret, only its id. Raises `ImageService.BadSecret`."
  @spec headers(String.t() | nil, String.t(), binary, integer) :: [{String.t(), String.t()}]
  def headers(secret, id, content, now \\ System.system_time(:second))
  def headers(nil, id, _content, _now), do: [{"webhook-id", id}]

  def headers(secret, id, content, now) do
    signature = "v1," <> Base.encode64(code(key(secret), id, now, content))
    [{"webhook-id", id}, {"webhook-timestamp", "#{now}"}, {"webhook-signature", signature}]
  end

  @doc """
  Return the id of a signed content, or `{:error, reason}` if none of the secrets signed it in the last five minutes.

  While one secret replaces another, pass both. Raises `ImageService.BadSecret` if there is none, or a short one.
  """
  @spec verify(binary, headers, [String.t()], integer) :: {:ok, String.t()} | {:error, String.t()}
  def verify(content, headers, secrets, now \\ System.system_time(:second)) do
    keys = Enum.map(secrets, &key/1)
    if keys == [], do: raise(ImageService.BadSecret)
    headers = Map.new(headers, fn {name, value} -> {String.downcase(name), value} end)

    with %{"webhook-id" => id, "webhook-timestamp" => time, "webhook-signature" => signatures} when id != "" <- headers,
         true <- time =~ ~r/\A[0-9]{1,12}\z/ and abs(now - String.to_integer(time)) <= @tolerance_seconds do
      codes = Enum.map(keys, &code(&1, id, time, content))
      if Enum.any?(signed_by(signatures), &known?(&1, codes)), do: {:ok, id}, else: {:error, "signed by another secret"}
    else
      _ -> {:error, "no signature of the last five minutes"}
    end
  end

  defp signed_by(signatures) do
    for "v1," <> text <- String.split(signatures, " "), {:ok, code} <- [Base.decode64(text)], do: code
  end

  defp known?(code, codes) do
    Enum.any?(codes, &(byte_size(&1) == byte_size(code) and :crypto.hash_equals(&1, code)))
  end

  defp code(key, id, time, content), do: :crypto.mac(:hmac, :sha256, key, [id, ?., to_string(time), ?., content])

  defp key(secret) do
    with true <- is_binary(secret),
         [_, text] <- Regex.run(@secret, secret),
         {:ok, key} <- Base.decode64(text, padding: false) do
      key
    else
      _ -> raise ImageService.BadSecret
    end
  end
end
