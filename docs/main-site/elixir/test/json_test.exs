defmodule ImageService.JsonTest do
  use ExUnit.Case, async: true

  alias ImageService.Json

  test "values are read as they were written" do
    for value <- [
          nil,
          true,
          false,
          0,
          -12,
          1.5,
          1.0e-7,
          "",
          "\" \\ / \n \t \0 ü 花 🌰",
          [],
          [1, [2, []], %{}],
          %{"a" => %{"b" => [nil, "c"]}}
        ] do
      assert Json.decode(Json.encode(value)) == {:ok, value}
    end
  end

  test "what other programs write is read" do
    assert Json.decode(~S( { "a\u00e9\ud83c\udf30\ud7ff\u0041" : [ 1e2 , -0.5E+1, 10 ], "b":"\/\b\f\r" } )) ==
             {:ok, %{"aé🌰\uD7FFA" => [100.0, -5.0, 10], "b" => "/\b\f\r"}}
  end

  test "atoms are the keys of an order" do
    assert Json.encode(%{key: "a", force: true}) in [~S({"key":"a","force":true}), ~S({"force":true,"key":"a"})]
  end

  test "what is no JSON is refused" do
    for text <- [
          "",
          " ",
          "<html>",
          "{",
          "[1,]",
          "[1 2]",
          "{\"a\":1,}",
          "{\"a\" 1}",
          "{a:1}",
          "{,}",
          "[,]",
          "01",
          "1.",
          ".5",
          "+1",
          "1e999",
          "NaN",
          "tru",
          "nullx",
          "1 2",
          "\"a",
          "\"\\x\"",
          "\"\\u12\"",
          "\"\\u12g4\"",
          "\"\\ud83c\"",
          "\"\\ud83c\\u0041\"",
          "\"\\udf30\"",
          "\"\n\"",
          "\"\xff\"",
          "\"\xed\xa0\x80\"",
          String.duplicate("[", 100_000)
        ] do
      assert Json.decode(text) == :error, inspect(text)
    end
  end

  test "a text that is not UTF-8 is not written" do
    assert_raise ArgumentError, fn -> Json.encode(%{key: "\xff"}) end
  end
end
