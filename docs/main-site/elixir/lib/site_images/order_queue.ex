defmodule SiteImages.OrderQueue do
  @moduledoc """
  A queue in memory that runs `SiteImages.OrderWorker` as Oban does: unique by path, with retries. It shows how the parts
  fit, and loses its jobs at a restart. In production, use Oban.
  """

  use GenServer

  @max_attempts 20

  @doc "Start a queue; `perform` and `backoff_ms` are functions of a job, `name` is optional."
  def start_link(options), do: GenServer.start_link(__MODULE__, Map.new(options), Keyword.take(options, [:name]))

  @doc "Queue the order of an original, unless one is waiting or running."
  @spec insert(GenServer.server(), String.t()) :: :queued | :duplicate
  def insert(queue, path), do: GenServer.call(queue, {:insert, path})

  @impl true
  def init(options), do: {:ok, Map.put(options, :attempts, %{})}

  @impl true
  def handle_call({:insert, path}, _from, %{attempts: attempts} = state) when is_map_key(attempts, path),
    do: {:reply, :duplicate, state}

  def handle_call({:insert, path}, _from, state), do: {:reply, :queued, run(path, 1, state)}

  @impl true
  def handle_info({:retry, path}, state), do: {:noreply, run(path, state.attempts[path] + 1, state)}

  def handle_info({:ended, path, result}, state) do
    attempt = state.attempts[path]

    if match?({:error, _}, result) and attempt < @max_attempts do
      Process.send_after(self(), {:retry, path}, state.backoff_ms.(job(path, attempt)))
      {:noreply, state}
    else
      {:noreply, %{state | attempts: Map.delete(state.attempts, path)}}
    end
  end

  defp run(path, attempt, state) do
    queue = self()
    Task.start(fn -> send(queue, {:ended, path, attempted(state.perform, job(path, attempt))}) end)
    %{state | attempts: Map.put(state.attempts, path, attempt)}
  end

  defp attempted(perform, job) do
    perform.(job)
  rescue
    fault -> {:error, fault}
  end

  defp job(path, attempt), do: %{args: %{"path" => path}, attempt: attempt}
end
