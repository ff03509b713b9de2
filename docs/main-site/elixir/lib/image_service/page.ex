defmodule ImageService.Page do
  @moduledoc """
  What a page shows of a picture, from its description: the `picture` of a callback, or `ImageService.picture/2`. It may
  be nil until the job has ended.
  """

  @main_types ["image/jpeg", "image/png", "image/gif", "image/webp"]
  @src_width 800

  @typedoc "A description of a picture, with strings as keys, as the service returns it."
  @type picture :: map | nil

  @doc """
  Return the attributes of an `<img>`, as a keyword list for `{attributes}` in HEEx; none if there is nothing to show.

  `alt` is what the picture shows. Options: `sizes`, how wide the page shows it (default `100vw`); `lazy`, false for the
  pictures at the top of a page; `otherwise`, the `src` without a description, such as `SiteImages.image_url/3`.
  """
  @spec attributes(picture, String.t(), keyword) :: keyword
  def attributes(picture, alt, options \\ []) do
    offered = candidates(picture)

    case src(offered) || options[:otherwise] do
      nil -> []
      src -> Enum.reject([src: src] ++ described(picture, offered, alt, options), fn {_, value} -> value == nil end)
    end
  end

  @doc "Return the `srcset` of the type that every browser shows: whole pictures, each with its true width, once."
  @spec srcset(picture) :: String.t()
  def srcset(picture), do: Enum.map_join(candidates(picture), ", ", fn {url, width} -> "#{url} #{width}w" end)

  @doc "Return CSS that shows the placeholder behind a picture until it is loaded; nil for one that may be transparent."
  @spec placeholder(picture) :: String.t() | nil
  def placeholder(picture) do
    color = matching(picture["color"], ~r/\A#[0-9a-f]{6}\z/i)
    lqip = matching(get_in(picture || %{}, ["placeholder", "lqip"]), ~r/\Adata:image\/[a-z]+;base64,[A-Za-z0-9+\/=]+\z/)
    layers = Enum.reject([color, lqip && "url(#{lqip}) center/cover no-repeat"], &is_nil/1)
    if main_type(picture) == "image/jpeg" and layers != [], do: "background:" <> Enum.join(layers, " ")
  end

  defp described(picture, offered, alt, options) do
    [
      srcset: if(offered != [], do: srcset(picture)),
      sizes: if(offered != [], do: options[:sizes] || "100vw"),
      width: picture["width"],
      height: picture["height"],
      alt: alt,
      loading: if(Keyword.get(options, :lazy, true), do: "lazy"),
      fetchpriority: if(Keyword.get(options, :lazy, true), do: nil, else: "high"),
      decoding: "async",
      style: placeholder(picture)
    ]
  end

  defp src(offered) do
    with {url, _} <- Enum.find(offered, List.last(offered), fn {_, width} -> width >= @src_width end), do: url
  end

  defp candidates(picture) do
    text = get_in(picture || %{}, ["srcset", main_type(picture)]) || ""

    for [url, width] <- Regex.scan(~r/(?:^|, )(\S+) ([0-9]+)w/, text, capture: :all_but_first) do
      {url, String.to_integer(width)}
    end
  end

  defp main_type(picture) do
    types = Map.keys(picture["srcset"] || %{})
    Enum.find(@main_types, List.first(types) || "", &(&1 in types))
  end

  defp matching(text, pattern), do: if(is_binary(text) and text =~ pattern, do: text)
end
