defmodule ImageService.PageTest do
  use ExUnit.Case, async: true

  alias ImageService.Page

  @picture %{
    "width" => 1024,
    "height" => 768,
    "color" => "#e5c83c",
    "placeholder" => %{"lqip" => "data:image/webp;base64,UklGRg==", "thumbhash" => "HBkKVZJziXew"},
    "srcset" => %{"image/jpeg" => "https://a.test/s.jpg 300w, https://a.test/m.jpg 800w, https://a.test/l.jpg 1024w"}
  }

  test "a picture has its true widths, its shape and its placeholder" do
    assert Page.attributes(@picture, "An oak gall", sizes: "40em") == [
             src: "https://a.test/m.jpg",
             srcset: @picture["srcset"]["image/jpeg"],
             sizes: "40em",
             width: 1024,
             height: 768,
             alt: "An oak gall",
             loading: "lazy",
             decoding: "async",
             style: "background:#e5c83c url(data:image/webp;base64,UklGRg==) center/cover no-repeat"
           ]
  end

  test "a picture at the top of a page is loaded first" do
    attributes = Page.attributes(@picture, "", lazy: false)
    assert attributes[:fetchpriority] == "high"
    refute attributes[:loading]
  end

  test "without a description, the first view renders the size, or nothing is shown" do
    assert Page.attributes(nil, "a", otherwise: "/img/a/medium") == [
             src: "/img/a/medium",
             alt: "a",
             loading: "lazy",
             decoding: "async"
           ]

    assert Page.attributes(nil, "a") == []
    assert Page.srcset(nil) == ""
  end

  test "a description of an older version is shown without what it lacks" do
    old = %{"width" => nil, "height" => nil, "color" => nil, "placeholder" => nil, "srcset" => %{}}
    assert Page.attributes(old, "a", otherwise: "/img/a/medium")[:src] == "/img/a/medium"
    assert Page.placeholder(old) == nil
  end

  test "a placeholder is only behind what has no transparent parts, and is no other CSS" do
    assert Page.placeholder(%{@picture | "srcset" => %{"image/png" => "https://a.test/s.png 300w"}}) == nil
    assert Page.placeholder(%{@picture | "color" => "red;}"}) =~ ~r/\Abackground:url/

    assert Page.placeholder(%{@picture | "placeholder" => %{"lqip" => "data:image/webp;base64,A) url(//b.test/"}}) ==
             "background:#e5c83c"
  end

  test "of several types, the one that every browser shows is the srcset" do
    both = put_in(@picture["srcset"]["image/webp"], "https://a.test/s.webp 300w")
    assert Page.srcset(both) == @picture["srcset"]["image/jpeg"]
    assert Page.srcset(%{"srcset" => %{"image/avif" => "https://a.test/s.avif 300w"}}) == "https://a.test/s.avif 300w"
  end

  test "the src is the narrowest of 800 pixels, or the widest" do
    small = %{"srcset" => %{"image/jpeg" => "https://a.test/s.jpg 300w, https://a.test/m.jpg 512w"}}
    assert Page.attributes(small, "")[:src] == "https://a.test/m.jpg"
  end

  test "every example of the documents is Elixir" do
    for document <- ["README.md", "../../pages.md"] do
      examples = Regex.scan(~r/^```elixir\n(.*?)^```$/ms, File.read!(document), capture: :all_but_first)
      assert examples != []
      for [example] <- examples, do: assert({:ok, _} = Code.string_to_quoted(example), example)
    end
  end
end
