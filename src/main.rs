//! The program `safire`: see `safire --help`.

use clap::Parser;
use safire::{cli::Cli, memory};

fn main() -> std::process::ExitCode {
    memory::give_back();
    Cli::parse().run()
}
