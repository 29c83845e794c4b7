//! The program `safire`: see `safire --help`.

use clap::Parser;
use safire::cli::Cli;

fn main() -> std::process::ExitCode {
    Cli::parse().run()
}
