defmodule SiteImages.CallbackController do
  @moduledoc """
  What the site does when a job has ended; the README has the Phoenix controller that calls it with the raw body.

  `changes` has the site's own functions:

  - `once`: `ImageService.Callback.respond/5` describes it
  - `store_picture`: stores the description of a picture with its row; called with the key and the description
  - `store_facts`: prefills date and place for curators; called with the key and the facts
  - `settle`: queues `SiteImages.settle/2` for a job that failed; the old code may take longer than a callback, which has
    ten seconds
  - `remove`: deletes the row of a picture that was taken down; called with the key and the job, whose `"takedown"` is
    the receipt
  - `broadcast`: updates the open pages of the species; called with the key
  """

  alias ImageService.Callback

  @type changes :: %{
          once: (String.t(), (() -> term) -> term),
          store_picture: (String.t(), map -> term),
          store_facts: (String.t(), map -> term),
          settle: (map -> term),
          remove: (String.t(), map -> term),
          broadcast: (String.t() -> term)
        }

  @doc """
  Process a callback once and return the status of the response. It raises if one of the site's own functions does; the
  service then sends the callback again. Nothing is stored of originals that the flag leaves to the old code: the
  description of one in the shadow has the URLs of the shadow.
  """
  @spec create(binary, ImageService.Signature.headers(), [String.t()], SiteImages.t(), changes) :: 204 | 401
  def create(raw_body, headers, secrets, settings, changes) do
    Callback.respond(raw_body, headers, secrets, changes.once, &process(&1, settings, changes))
  end

  defp process(%{"type" => "job.done", "data" => %{"key" => key} = job}, settings, changes) do
    if SiteImages.by_service?(key, settings.rollout) do
      # Either is nil if it could not be read at that moment: keep what is stored.
      if job["picture"], do: changes.store_picture.(key, job["picture"])
      if job["facts"], do: changes.store_facts.(key, job["facts"])
      changes.broadcast.(key)
    end
  end

  defp process(%{"type" => "job.error", "data" => job}, _settings, changes), do: changes.settle.(job)

  defp process(%{"type" => "takedown.done", "data" => %{"key" => key} = job}, _settings, changes) do
    changes.remove.(key, job)
    changes.broadcast.(key)
  end

  defp process(%{"type" => "takedown.error", "data" => %{"key" => key} = job}, settings, _changes) do
    settings.tell.(%{key: key, by: :service, ms: 0, fault: "the takedown failed: #{inspect(job["error"])}"})
  end

  defp process(_event, _settings, _changes), do: :ok
end
