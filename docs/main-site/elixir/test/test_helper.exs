# The machine may be busy: what is waited for comes some time, and how soon, no test depends on.
ExUnit.start(timeout: 120_000, assert_receive_timeout: 60_000)
