defmodule ImageService.Json do
  @moduledoc """
  JSON for the requests and the responses of the service. OTP has a decoder from version 27 on; this one runs with
  every version, so that the same code runs on every machine.
  """

  @most_levels 64
  @number ~r/\A-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/

  @doc "Return the JSON of maps, lists, strings, numbers, booleans and nil; keys are strings or atoms."
  @spec encode(term) :: String.t()
  def encode(value), do: value |> written() |> IO.iodata_to_binary()

  @doc "Return the value of a JSON text; objects become maps with strings as keys, null becomes nil."
  @spec decode(binary) :: {:ok, term} | :error
  def decode(text) do
    {value, rest} = value(skip(text), 0)
    if skip(rest) == "", do: {:ok, value}, else: :error
  catch
    :invalid -> :error
  end

  defp written(map) when is_map(map) do
    [?{, Enum.map_intersperse(map, ?,, fn {key, value} -> [quoted(to_string(key)), ?:, written(value)] end), ?}]
  end

  defp written(list) when is_list(list), do: [?[, Enum.map_intersperse(list, ?,, &written/1), ?]]
  defp written(nil), do: "null"
  defp written(text) when is_binary(text), do: quoted(text)
  defp written(other) when is_boolean(other) or is_number(other), do: to_string(other)

  defp quoted(text), do: [?", for(<<character::utf8 <- valid(text)>>, do: escaped(character)), ?"]

  defp valid(text), do: if(String.valid?(text), do: text, else: raise(ArgumentError, "#{inspect(text)} is not UTF-8"))

  defp escaped(character) when character in [?", ?\\], do: [?\\, character]
  defp escaped(character) when character < 32, do: :io_lib.format("\\u~4.16.0b", [character])
  defp escaped(character), do: <<character::utf8>>

  defp value(<<?{, rest::binary>>, level) when level < @most_levels, do: members(skip(rest), level + 1, %{})
  defp value(<<?[, rest::binary>>, level) when level < @most_levels, do: items(skip(rest), level + 1, [])
  defp value(<<?", rest::binary>>, _level), do: string(rest, "")
  defp value(<<"true", rest::binary>>, _level), do: {true, rest}
  defp value(<<"false", rest::binary>>, _level), do: {false, rest}
  defp value(<<"null", rest::binary>>, _level), do: {nil, rest}
  defp value(text, _level), do: number(text)

  defp members(<<?}, rest::binary>>, _level, map) when map == %{}, do: {map, rest}

  defp members(<<?", rest::binary>>, level, map) do
    {key, rest} = string(rest, "")
    {value, rest} = rest |> skip() |> following(?:) |> value(level)
    map = Map.put(map, key, value)

    case skip(rest) do
      <<?,, rest::binary>> -> rest |> skip() |> member(level, map)
      rest -> {map, following(rest, ?})}
    end
  end

  defp members(_text, _level, _map), do: throw(:invalid)

  defp member(<<?", _::binary>> = text, level, map), do: members(text, level, map)
  defp member(_text, _level, _map), do: throw(:invalid)

  defp items(<<?], rest::binary>>, _level, []), do: {[], rest}

  defp items(text, level, before) do
    {value, rest} = value(text, level)

    case skip(rest) do
      <<?,, rest::binary>> -> rest |> skip() |> items(level, [value | before])
      rest -> {Enum.reverse(before, [value]), following(rest, ?])}
    end
  end

  defp string(<<?", rest::binary>>, read), do: {read, rest}
  defp string(<<"\\u", rest::binary>>, read), do: unicode(rest, read)

  defp string(<<?\\, character, rest::binary>>, read) do
    case %{?" => ?", ?\\ => ?\\, ?/ => ?/, ?b => ?\b, ?f => ?\f, ?n => ?\n, ?r => ?\r, ?t => ?\t} do
      %{^character => meant} -> string(rest, <<read::binary, meant>>)
      _ -> throw(:invalid)
    end
  end

  defp string(<<character::utf8, rest::binary>>, read) when character >= 32,
    do: string(rest, <<read::binary, character::utf8>>)

  defp string(_text, _read), do: throw(:invalid)

  defp unicode(<<high::binary-4, "\\u", low::binary-4, rest::binary>>, read) when binary_part(high, 0, 1) in ~w(d D) do
    case {hex(high), hex(low)} do
      {high, low} when high in 0xD800..0xDBFF and low in 0xDC00..0xDFFF ->
        string(rest, <<read::binary, 0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00::utf8>>)

      {high, _low} when high < 0xD800 ->
        unicode_alone(high, <<"\\u", low::binary, rest::binary>>, read)

      _ ->
        throw(:invalid)
    end
  end

  defp unicode(<<digits::binary-4, rest::binary>>, read), do: unicode_alone(hex(digits), rest, read)
  defp unicode(_text, _read), do: throw(:invalid)

  defp unicode_alone(code, _rest, _read) when code in 0xD800..0xDFFF, do: throw(:invalid)
  defp unicode_alone(code, rest, read), do: string(rest, <<read::binary, code::utf8>>)

  defp hex(digits), do: if(digits =~ ~r/\A[0-9a-fA-F]{4}\z/, do: String.to_integer(digits, 16), else: throw(:invalid))

  defp number(text) do
    case Regex.run(@number, text) do
      [whole] -> {String.to_integer(whole), rest(text, whole)}
      [whole, _fraction] -> {float(whole), rest(text, whole)}
      [whole, "", exponent] -> {float(String.replace(whole, exponent, ".0" <> exponent)), rest(text, whole)}
      [whole, _fraction, _exponent] -> {float(whole), rest(text, whole)}
      nil -> throw(:invalid)
    end
  end

  defp float(text) do
    String.to_float(text)
  rescue
    ArgumentError -> throw(:invalid)
  end

  defp rest(text, whole), do: binary_part(text, byte_size(whole), byte_size(text) - byte_size(whole))

  defp following(<<character, rest::binary>>, character), do: skip(rest)
  defp following(_text, _character), do: throw(:invalid)

  defp skip(<<space, rest::binary>>) when space in ~c" \t\r\n", do: skip(rest)
  defp skip(text), do: text
end
