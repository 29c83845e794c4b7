//! The program `safire`: see `safire --help`.

use clap::Parser;
use safire::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    Cli::parse().run()
}
