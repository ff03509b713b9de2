defmodule ImageService.Http do
  @moduledoc "HTTP requests by OTP's `:httpc`, each with a deadline, verified certificates, and no redirects."

  alias ImageService.Error

  @type response :: %{status: pos_integer, headers: %{String.t() => String.t()}, body: binary}

  @doc "Return the deadline of a call that may take `ms` milliseconds."
  @spec deadline(pos_integer) :: integer
  def deadline(ms), do: System.monotonic_time(:millisecond) + ms

  @doc "Return the milliseconds until a deadline, at least one."
  @spec left_ms(integer) :: pos_integer
  def left_ms(until), do: max(1, until - System.monotonic_time(:millisecond))

  @doc "Send a request and return the response, whatever its status, or the error if there is none by the deadline."
  @spec request(atom, String.t(), [{String.t(), String.t()}], binary, integer) ::
          {:ok, response} | {:error, Error.t()}
  def request(method, url, headers, body, until) do
    # Responses go to an alias, so that one that comes too late is in no mailbox.
    inbox = :erlang.alias([:reply])
    http_options = [autoredirect: false, connect_timeout: left_ms(until), ssl: ssl_options()]
    options = [sync: false, body_format: :binary, receiver: fn {_id, result} -> send(inbox, {inbox, result}) end]

    case :httpc.request(method, message(method, url, headers, body), http_options, options) do
      {:ok, id} -> id |> await(inbox, until) |> response(url)
      {:error, reason} -> unreachable(url, reason)
    end
  end

  # `:httpc` repeats a 503 itself if its Retry-After is short, and its own timeout then starts again. So it is this
  # process that measures the time.
  defp await(id, inbox, until) do
    receive do
      {^inbox, result} -> result
    after
      left_ms(until) ->
        :erlang.unalias(inbox)
        :httpc.cancel_request(id)
        receive(do: ({^inbox, result} -> result), after: (0 -> {:error, :timeout}))
    end
  end

  defp response({{_, status, _}, headers, body}, _url) do
    headers = Map.new(headers, fn {name, value} -> {String.downcase(to_string(name)), to_string(value)} end)
    {:ok, %{status: status, headers: headers, body: body}}
  end

  defp response({:error, reason}, url), do: unreachable(url, reason)

  defp message(:post, url, headers, body), do: {to_charlist(url), sent(headers), ~c"application/json", body}
  defp message(_method, url, headers, _body), do: {to_charlist(url), sent(headers)}

  # One connection for each request: a kept one may be closed by the service while the next request is on its way.
  defp sent(headers) do
    [{~c"connection", ~c"close"} | Enum.map(headers, fn {name, value} -> {to_charlist(name), to_charlist(value)} end)]
  end

  defp ssl_options do
    [
      verify: :verify_peer,
      cacerts: :public_key.cacerts_get(),
      depth: 4,
      customize_hostname_check: [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
    ]
  end

  defp unreachable(url, reason) do
    {:error, %Error{kind: :unreachable, message: "#{url} does not respond: #{inspect(reason, limit: 30)}"}}
  end
end
