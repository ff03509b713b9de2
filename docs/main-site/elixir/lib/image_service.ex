defmodule ImageService do
  @moduledoc """
  A client of the image service, with nothing but OTP. It signs and posts jobs, waits for them, reads pictures and facts,
  takes pictures down, and builds the URLs of pictures. `ImageService.Callback` verifies what the service sends back,
  `ImageService.Page` writes a picture into a page.

  Every call returns `{:ok, value}` or `{:error, %ImageService.Error{}}`, and takes at most `deadline_ms`. It raises
  `ImageService.BadSecret` for a secret that the service would refuse.
  """

  alias ImageService.{Error, Http, Json, Signature}

  @derive {Inspect, except: [:secret]}
  @enforce_keys [:url]
  defstruct [:url, :secret, origin: "", deadline_ms: 60_000]

  @typedoc """
  The base URL of a service, without a trailing slash, and one of its WEBHOOK_SECRETS; pages need no secret. `origin` is
  the PUBLIC_ORIGIN of the service, if that is set.
  """
  @type t :: %__MODULE__{url: String.t(), secret: String.t() | nil, origin: String.t(), deadline_ms: pos_integer}
  @type result :: {:ok, map} | {:error, Error.t()}

  @poll_ms [100, 200, 400, 800]
  @retry_ms 1_000

  @doc """
  Post a job for an original and return the job.

  `order` may have `sizes` (all by default), `force` (render again what is up to date) and `callback_url`. A 503 is
  retried after its `Retry-After`, under the same id, so that a retry never creates a second job.
  """
  @spec post_job(t, String.t(), map, integer | nil) :: result
  def post_job(%__MODULE__{} = service, key, order \\ %{}, until \\ nil) do
    body = Json.encode(Map.put(order, :key, key))

    case repeat(service, :post, "/v1/jobs", body, until || until(service)) do
      {:ok, %{"id" => id} = job} when is_binary(id) -> {:ok, job}
      {:ok, _} -> unreadable(service)
      error -> error
    end
  end

  @doc "Wait until a job has ended and return it; a job that ended with an error is one of the kind `:failed`."
  @spec wait_for_job(t, map, integer | nil) :: result
  def wait_for_job(%__MODULE__{} = service, job, until \\ nil),
    do: wait(service, job, until || until(service), @poll_ms)

  @doc "Return what a page needs to know of a picture; the service renders it first, if it is not rendered yet."
  @spec picture(t, String.t()) :: result
  def picture(%__MODULE__{} = service, key), do: read(service, :get, "/v1/images/" <> path(key), [], "", until(service))

  @doc "Return the facts of an original: when, where and with what it was taken, and its rights. For curators only."
  @spec facts(t, String.t()) :: result
  def facts(%__MODULE__{} = service, key), do: signed(service, :get, "/v1/facts/" <> path(key))

  @doc """
  Take a picture down, with its original and every copy of it, and return the job. The takedown is durable: it is done
  when the public addresses respond with 404 or 403. The callback `takedown.done` to `callback_url` is the receipt.
  """
  @spec take_down(t, String.t(), String.t() | nil) :: result
  def take_down(%__MODULE__{} = service, key, callback_url \\ nil) do
    query = if callback_url, do: "?" <> URI.encode_query(callback_url: callback_url), else: ""
    signed(service, :delete, "/v1/images/" <> path(key) <> query)
  end

  @doc "Return the URL of a size of an original, or of the original itself; the service renders it on the first view."
  @spec image_url(t, String.t(), String.t()) :: String.t()
  def image_url(%__MODULE__{} = service, key, size), do: "#{service.url}/img/#{path(key)}/#{size}"

  @doc "Return a key as the path of a URL."
  @spec path(String.t()) :: String.t()
  def path(key),
    do: key |> String.split("/") |> Enum.map_join("/", &URI.encode(&1, fn c -> URI.char_unreserved?(c) end))

  defp until(service), do: Http.deadline(service.deadline_ms)

  # A request without a body signs its method and its address, and acts once per id.
  defp signed(service, method, address), do: repeat(service, method, address, "", until(service))

  defp repeat(service, method, address, body, until) do
    content = if body == "", do: "#{String.upcase(to_string(method))} #{service.origin}#{address}", else: body
    repeat(service, method, address, body, content, "msg_" <> Base.encode16(:crypto.strong_rand_bytes(16)), until)
  end

  defp repeat(service, method, address, body, content, id, until) do
    answer = read(service, method, address, Signature.headers(service.secret, id, content), body, until)

    with {:error, %Error{retry_ms: ms}} when ms != nil <- answer do
      if ms < Http.left_ms(until) do
        Process.sleep(ms)
        repeat(service, method, address, body, content, id, until)
      else
        answer
      end
    end
  end

  defp wait(service, %{"status" => status, "id" => id}, until, [ms | later])
       when status in ["queued", "processing"] and is_binary(id) do
    if ms < Http.left_ms(until) do
      Process.sleep(ms)

      with {:ok, job} <- read(service, :get, "/v1/jobs/" <> path(id), [], "", until) do
        wait(service, job, until, if(later == [], do: [ms], else: later))
      end
    else
      {:error, %Error{kind: :unreachable, message: "job #{id} has not ended in time"}}
    end
  end

  defp wait(_service, %{"status" => "error"} = job, _until, _polls), do: {:error, Error.of_job(job)}

  defp wait(_service, %{"status" => "done"} = job, _until, _polls), do: {:ok, job}
  defp wait(service, _job, _until, _polls), do: unreadable(service)

  defp read(service, method, address, headers, body, until) do
    with {:ok, response} <- Http.request(method, service.url <> address, headers, body, until) do
      case {response.status, Json.decode(response.body)} do
        {status, {:ok, %{} = value}} when status in 200..299 -> {:ok, value}
        {status, _} when status in 200..299 -> unreadable(service)
        {_, decoded} -> {:error, refused(response, decoded)}
      end
    end
  end

  defp refused(response, decoded) do
    problem = with {:ok, %{} = problem} <- decoded, do: problem, else: (_ -> %{})
    detail = Error.text(problem["detail"]) || inspect(response.body, printable_limit: 200)
    code = (Error.text(problem["type"]) || "") |> String.split("/") |> List.last()
    message = "the service responds with #{response.status}: #{detail}"
    %Error{kind: :refused, status: response.status, code: code, retry_ms: retry_ms(response), message: message}
  end

  defp retry_ms(%{status: 503} = response) do
    case Integer.parse(Map.get(response.headers, "retry-after", "")) do
      {seconds, ""} when seconds > 0 -> seconds * 1000
      _ -> @retry_ms
    end
  end

  defp retry_ms(_response), do: nil

  defp unreadable(service),
    do: {:error, %Error{kind: :unreadable, message: "#{service.url} responds with no JSON object"}}
end
