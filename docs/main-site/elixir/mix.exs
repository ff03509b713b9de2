defmodule SiteImages.MixProject do
  use Mix.Project

  def project do
    [
      app: :site_images,
      version: "1.0.0",
      elixir: "~> 1.14",
      elixirc_paths: if(Mix.env() == :test, do: ["lib", "test/support"], else: ["lib"]),
      deps: []
    ]
  end

  # OTP alone: a site that copies lib/ adds these four to its own extra_applications.
  def application, do: [extra_applications: [:crypto, :inets, :public_key, :ssl]]
end
