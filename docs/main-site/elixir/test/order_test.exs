defmodule SiteImages.OrderTest do
  use ExUnit.Case, async: true

  alias SiteImages.{OrderQueue, OrderWorker, Site}

  test "an upload is rendered from the queue" do
    {key, settings} = {Site.upload(), Site.settings()}
    queue = start(&OrderWorker.perform(&1, settings))
    assert OrderQueue.insert(queue, key) == :queued
    assert_receive {:told, %{key: ^key, by: :service}}, 60_000
  end

  test "an original that waits or runs is not queued twice, and one that has ended may be" do
    test = self()

    queue =
      start(fn job ->
        send(test, {:runs, job, self()})
        receive do: (result -> result)
      end)

    assert OrderQueue.insert(queue, "a") == :queued
    assert OrderQueue.insert(queue, "b") == :queued
    assert_receive {:runs, %{args: %{"path" => "a"}, attempt: 1}, first}
    assert OrderQueue.insert(queue, "a") == :duplicate

    send(first, {:error, :down})
    assert_receive {:runs, %{args: %{"path" => "a"}, attempt: 2}, second}
    assert OrderQueue.insert(queue, "a") == :duplicate

    send(second, :ok)
    assert_eventually(fn -> OrderQueue.insert(queue, "a") == :queued end)
  end

  test "an attempt that raises is retried, up to twenty times" do
    test = self()

    queue =
      start(fn %{args: %{"path" => path}, attempt: attempt} ->
        send(test, {path, attempt})
        if attempt < 21, do: raise("no database")
      end)

    OrderQueue.insert(queue, "a")
    for attempt <- 1..20, do: assert_receive({"a", ^attempt}, 10_000)
    assert_eventually(fn -> OrderQueue.insert(queue, "a") == :queued end)
    assert_receive {"a", 1}, 10_000
  end

  test "what neither side can render is an error, and everything else is done" do
    job = %{args: %{"path" => Site.upload()}, attempt: 1}
    down = Site.settings(service: Site.service("http://127.0.0.1:9"), old_way: fn _ -> {:error, :no_memory} end)
    assert {:error, %SiteImages.NotMade{}} = OrderWorker.perform(job, down)
    assert {:error, :no_memory} = OrderWorker.perform(job, %{down | rollout: :off})
    assert OrderWorker.perform(job, Site.settings(rollout: :off)) == :ok
    assert OrderWorker.perform(job, Site.settings(rollout: :off, old_way: fn _ -> nil end)) == :ok

    failed = %{"key" => job.args["path"], "status" => "error", "error" => nil}
    assert OrderWorker.perform(put_in(job.args["failed"], failed), Site.settings()) == :ok
    assert {:error, %SiteImages.NotMade{}} = OrderWorker.perform(put_in(job.args["failed"], failed), down)
  end

  test "attempts wait longer each time, up to an hour" do
    waits = for attempt <- 1..20, do: OrderWorker.backoff(%{args: %{}, attempt: attempt})
    assert Enum.take(waits, 3) == [15, 30, 60]
    assert waits == Enum.sort(waits)
    assert List.last(waits) == 3600
  end

  defp start(perform) do
    start_supervised!({OrderQueue, perform: perform, backoff_ms: fn _job -> 1 end})
  end

  defp assert_eventually(check, left \\ 1_000) do
    cond do
      check.() -> :ok
      left > 0 -> Process.sleep(5) && assert_eventually(check, left - 1)
      true -> flunk("it did not happen")
    end
  end
end
