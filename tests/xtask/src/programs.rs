//! A program for others' machines: stripped, as one unit, and with the same bytes from whatever folder it was built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::libraries::{cargo, remap};

/// A program, and how it is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'p> {
    /// The folder of the workspace.
    pub(crate) workspace: &'p Path,
    /// The package, of which the program has the name.
    pub(crate) package: &'p str,
    /// Cargo's features, by commas.
    pub(crate) features: &'p str,
    /// Cargo's profile.
    pub(crate) profile: &'p str,
    /// Where it runs, as Rust calls it.
    pub(crate) triple: &'p str,
}

impl Program<'_> {
    /// Builds it below `target/dist` of the workspace; returns where it is.
    ///
    /// # Errors
    /// If the target or its C compiler is missing, or the program does not compile.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        let Self { package, features, profile, triple, .. } = *self;
        // Compilers see this path, and not a link to it.
        let workspace = self.workspace.canonicalize().with_context(|| self.workspace.display().to_string())?;
        let target = workspace.join("target/dist");
        let mut cargo = cargo();
        cargo.args(["build", "--locked", "-p", package, "--features", features, "--profile", profile, "--target"]);
        cargo.arg(triple).arg("--target-dir").arg(&target).current_dir(&workspace);
        let remap = remap(&workspace);
        // As C compilers say it, for mimalloc and zstd.
        let of_c = remap.join(" ").replace("--remap-path-prefix", "-ffile-prefix-map");
        cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", remap.join("\u{1f}")).env("CFLAGS", of_c);
        let variable = profile.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_PROFILE_{variable}_STRIP"), "symbols");
        cargo.env(format!("CARGO_PROFILE_{variable}_CODEGEN_UNITS"), "1").env("CARGO_INCREMENTAL", "0");
        if triple == "aarch64-unknown-linux-gnu" && cfg!(not(target_arch = "aarch64")) {
            cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
            cargo.env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc");
        }
        // Cargo says what it does: it takes minutes.
        let status = cargo.status().context("cargo cannot be started")?;
        ensure!(
            status.success(),
            "no program for {triple}: rustup target add {triple}, and its C compiler (apt-get install gcc-aarch64-linux-gnu, musl-tools)"
        );
        let folder = if profile == "dev" { "debug" } else { profile };
        Ok(target.join(triple).join(folder).join(package))
    }
}

#[cfg(test)]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    /// A program of all that may carry a folder's name into its bytes: another crate, generic code, places of panics, what a build script writes.
    const FILES: [(&str, &str); 6] = [
        ("Cargo.toml", "[workspace]\nmembers = [\"app\", \"parts\"]\nresolver = \"3\"\n"),
        (
            "app/Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[features]\nmore = []\n\
             [dependencies]\nparts = { path = \"../parts\" }\n",
        ),
        (
            "app/build.rs",
            "fn main() {\n    let path = std::env::var(\"OUT_DIR\").unwrap() + \"/made.rs\";\n    \
             std::fs::write(path, \"pub fn made(n: usize) -> u8 { [1, 2, 3][n] }\").unwrap();\n}\n",
        ),
        (
            "app/src/main.rs",
            "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n\
             fn main() {\n    let n = std::env::args().count();\n    println!(\"{} {} {}\", file!(), made(n), parts::nth(&[n; 4], n));\n}\n",
        ),
        ("parts/Cargo.toml", "[package]\nname = \"parts\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        (
            "parts/src/lib.rs",
            "pub fn nth<T: Copy>(of: &[T], n: usize) -> T {\n    *of.get(n).expect(module_path!())\n}\n",
        ),
    ];

    #[test]
    fn a_program_has_the_same_bytes_from_any_folder_and_names_none() {
        let built = ["here", "somewhere/else/of another length"].map(|name| {
            let place = tempfile::tempdir().unwrap();
            let workspace = place.path().join(name);
            for (path, text) in FILES {
                let path = workspace.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert!(
                cargo().args(["generate-lockfile", "--offline"]).current_dir(&workspace).status().unwrap().success()
            );
            let triple = "x86_64-unknown-linux-gnu";
            let program =
                Program { workspace: &workspace, package: "app", features: "app/more", profile: "release", triple };
            let path = program.build().unwrap();
            let printed = std::process::Command::new(&path).output().unwrap().stdout;
            assert_eq!(String::from_utf8(printed).unwrap(), "app/src/main.rs 2 1\n");
            let bytes = fs::read(&path).unwrap();
            let folder = place.path().file_name().unwrap().as_encoded_bytes().to_owned();
            assert!(!bytes.windows(folder.len()).any(|found| found == folder), "it names {}", place.path().display());
            bytes
        });
        assert!(built[0] == built[1]);
    }
}
