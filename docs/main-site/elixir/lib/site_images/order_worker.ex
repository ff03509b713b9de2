defmodule SiteImages.OrderWorker do
  @moduledoc """
  Orders the sizes of an uploaded original from a durable queue, so that a deploy loses no upload. It has the callbacks
  and the results of a worker of Oban, which the site adds with one line:

      use Oban.Worker, queue: :images, max_attempts: 20,
        unique: [keys: [:path], period: :infinity, states: [:available, :scheduled, :executing, :retryable]]

  `SiteImages.OrderQueue` runs it without Oban, in memory only.
  """

  @first_seconds 15
  @longest_seconds 3600

  @type job :: %{args: %{String.t() => term}, attempt: pos_integer}

  @doc """
  Render all sizes of an original, or settle the job of the service that `"failed"`, as its callback reported. An error,
  which neither side could avoid, is retried.
  """
  @spec perform(job, SiteImages.t()) :: :ok | {:error, term}
  def perform(%{args: %{"failed" => job}}, settings), do: outcome(SiteImages.settle(job, settings))
  def perform(%{args: %{"path" => path}}, settings), do: outcome(SiteImages.create_other_sizes(path, settings))

  @doc "Return the seconds until the next attempt: they double from a quarter of a minute to an hour."
  @spec backoff(job) :: pos_integer
  def backoff(%{attempt: attempt}), do: min(@longest_seconds, @first_seconds * Integer.pow(2, min(attempt, 20) - 1))

  defp outcome({:error, fault}), do: {:error, fault}
  defp outcome(_result), do: :ok
end
