defmodule SiteImages.Loopback do
  @moduledoc "A server on loopback that answers as a test requires: `{status, headers, body}`, or as it likes by itself."

  @type request :: %{method: String.t(), address: String.t(), headers: map, body: binary}

  @doc "Start a server on `port`, or on a free one, and return its base URL; `answer` gets the request and the socket."
  @spec start((request, :gen_tcp.socket() -> {pos_integer, list, iodata} | :done), :inet.port_number()) :: String.t()
  def start(answer, port \\ 0) do
    {:ok, listener} =
      :gen_tcp.listen(port, [:binary, active: false, packet: :http_bin, ip: {127, 0, 0, 1}, reuseaddr: true])

    {:ok, port} = :inet.port(listener)
    owner = self()

    # Its own process: the listener closes with it, and it ends with the test.
    server = spawn(fn -> receive do: (:listen -> accept(listener, answer, owner)) end)
    :ok = :gen_tcp.controlling_process(listener, server)
    send(server, :listen)
    ExUnit.Callbacks.on_exit(fn -> Process.exit(server, :kill) end)
    "http://127.0.0.1:#{port}"
  end

  defp accept(listener, answer, owner) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      serving = spawn(fn -> receive do: (:serve -> serve(socket, answer)) end)
      :gen_tcp.controlling_process(socket, serving)
      send(serving, :serve)
      accept(listener, answer, owner)
    end
  end

  defp serve(socket, answer) do
    {:ok, {:http_request, method, {:abs_path, address}, _version}} = :gen_tcp.recv(socket, 0)
    headers = headers(socket, %{})
    length = String.to_integer(Map.get(headers, "content-length", "0"))
    :inet.setopts(socket, packet: :raw)
    {:ok, body} = if length > 0, do: :gen_tcp.recv(socket, length), else: {:ok, ""}

    case answer.(%{method: to_string(method), address: address, headers: headers, body: body}, socket) do
      {status, headers, body} -> :gen_tcp.send(socket, response(status, headers, body))
      :done -> :ok
    end

    :gen_tcp.close(socket)
  end

  @doc "Return a response as it is sent."
  def response(status, headers, body) do
    lines = for {name, value} <- [{"content-length", IO.iodata_length(body)} | headers], do: "#{name}: #{value}\r\n"
    ["HTTP/1.1 #{status} Answer\r\n", lines, "connection: close\r\n\r\n", body]
  end

  defp headers(socket, read) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(socket, Map.put(read, String.downcase(to_string(name)), value))

      {:ok, :http_eoh} ->
        read
    end
  end
end
