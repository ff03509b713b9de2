defmodule ImageService.Callback do
  @moduledoc """
  Receives callbacks. The service sends each at least once, and repeats it under the same id until the response is a 2xx.

  A signature covers the body as it was sent, so pass the raw body, not parsed parameters.
  """

  alias ImageService.{Json, Signature}

  @type event :: %{required(String.t()) => term}

  @doc """
  Return the id and the event of a callback: `"type"` is `job.done`, `job.error` or `takedown.done`, `"data"` the job.

  `secrets` are the CALLBACK_SECRETS of the service, or else its WEBHOOK_SECRETS. See `ImageService.Signature.verify/4`.
  """
  @spec read(binary, Signature.headers(), [String.t()]) :: {:ok, String.t(), event} | {:error, String.t()}
  def read(raw_body, headers, secrets) do
    with {:ok, id} <- Signature.verify(raw_body, headers, secrets) do
      case Json.decode(raw_body) do
        {:ok, %{"type" => type, "data" => %{}} = event} when is_binary(type) -> {:ok, id, event}
        _ -> {:error, "no event of the service"}
      end
    end
  end

  @doc """
  Process a callback once, and return the status of the response: 204, or 401 if the service did not sign it.

  `once.(id, process)` calls `process` unless it has done so for this id. It must remember the id and what `process`
  changes in one transaction: if `process` raises, the service sends the callback again.
  """
  @spec respond(binary, Signature.headers(), [String.t()], (String.t(), (() -> term) -> term), (event -> term)) ::
          204 | 401
  def respond(raw_body, headers, secrets, once, process) do
    case read(raw_body, headers, secrets) do
      {:ok, id, event} ->
        once.(id, fn -> process.(event) end)
        204

      {:error, _reason} ->
        401
    end
  end
end
