defmodule ImageService.Error do
  @moduledoc """
  Why a call of the service failed.

  - `:refused`: it responded with an error; `status` is that of the response, `code` the last part of the problem's type,
    and `retry_ms` how long to wait if it is busy
  - `:failed`: the job ended with an error; `code` is its code
  - `:unreachable`: it did not respond, or not in time
  - `:unreadable`: the response is not one of the service
  """

  defexception [:kind, :status, :code, :retry_ms, :message]

  @type t :: %__MODULE__{
          kind: :refused | :failed | :unreachable | :unreadable,
          status: non_neg_integer | nil,
          code: String.t() | nil,
          retry_ms: pos_integer | nil,
          message: String.t()
        }

  @doc "Return the error of a job that failed."
  @spec of_job(map) :: t
  def of_job(job) do
    error = with %{} = error <- job["error"], do: error, else: (_ -> %{})
    message = text(error["detail"]) || "job #{text(job["id"])} failed"
    %__MODULE__{kind: :failed, code: text(error["code"]), message: message}
  end

  @doc "Return a value of a response if it is a text, or nil."
  @spec text(term) :: String.t() | nil
  def text(value), do: if(is_binary(value), do: value)
end

defmodule ImageService.BadSecret do
  @moduledoc "A secret that the service would refuse, and that would verify forged callbacks."
  defexception message:
                 "the secret is not whsec_ followed by at least 24 bytes in base64; set it to one of the " <>
                   "WEBHOOK_SECRETS or CALLBACK_SECRETS of the service, made with: echo whsec_$(openssl rand -base64 32)"
end
