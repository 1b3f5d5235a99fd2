"""Checks of the packages that their ecosystems' own tools do: checks.py WHAT FOLDER, exit code 77 where a tool is missing."""

import json
import os
import sys
import tarfile


def need(module):
    try:
        return __import__(module)
    except ImportError:
        print(f"pip install {module}")
        sys.exit(77)


def kconfig(folder):
    """Each core's default library, as Kconfig chooses it."""
    kconfiglib = need("kconfiglib")
    cores = [
        ("thumbv6m-none-eabi", "CPU_CORTEX_M"),
        ("thumbv7m-none-eabi", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE"),
        ("thumbv7em-none-eabi", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE CPU_CORTEX_M4"),
        ("thumbv7em-none-eabi", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE CPU_CORTEX_M4 FPU"),
        ("thumbv7em-none-eabihf", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE CPU_CORTEX_M4 FPU FP_HARDABI"),
        ("thumbv7em-none-eabihf", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE CPU_CORTEX_M7 FPU FP_HARDABI"),
        ("thumbv8m.main-none-eabi", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE ARMV8_M_MAINLINE"),
        ("thumbv8m.main-none-eabihf", "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE ARMV8_M_MAINLINE FPU FP_HARDABI"),
        (
            "thumbv8.1m.main-none-eabihf",
            "CPU_CORTEX_M ARMV7_M_ARMV8_M_MAINLINE ARMV8_M_MAINLINE ARMV8_1_M_MVEI FPU FP_HARDABI",
        ),
        ("riscv32imc-unknown-none-elf", "RISCV RISCV_ISA_EXT_M RISCV_ISA_EXT_C"),
        ("riscv32imac-unknown-none-elf", "RISCV RISCV_ISA_EXT_M RISCV_ISA_EXT_C RISCV_ISA_EXT_A"),
        (None, "RISCV RISCV_ISA_EXT_M RISCV_ISA_EXT_C 64BIT"),
        (None, "RISCV RISCV_ISA_EXT_M RISCV_ISA_EXT_C FLOAT_HARD"),
        (None, "RISCV"),
        (None, "X86"),
    ]
    names = sorted({name for _, names in cores for name in names.split()})
    for library, given in cores:
        path = os.path.join(folder, "board")
        with open(path, "w") as board:
            for name in names:
                board.write(f"config {name}\n\tbool\n\tdefault {'y' if name in given.split() else 'n'}\n")
            board.write(f'source "{folder}/zephyr/Kconfig"\n')
        kconfig = kconfiglib.Kconfig(path, warn_to_stderr=False)
        os.remove(path)
        # Whatever else is wrong, such as a name that nothing defines, stands among the warnings.
        kconfig.syms["VAE"].set_value(2)
        chosen = kconfig.syms["VAE_TARGET"].str_value if kconfig.syms["VAE"].str_value == "y" else None
        assert chosen == library, (given, chosen, library)
        assert library is None or os.path.isfile(f"{folder}/lib/{library}/libvae.a"), library


def platformio(folder):
    """The manifest and the tarball, by what `pio pkg pack` calls; it would fetch the list of licences."""
    need("platformio")
    from platformio.package.manifest.parser import ManifestParserFactory
    from platformio.package.manifest.schema import ManifestSchema
    from platformio.package.pack import PackagePacker

    ManifestSchema.load_spdx_licenses = staticmethod(
        lambda: {"licenses": [{"licenseId": "MIT"}, {"licenseId": "Apache-2.0"}]}
    )
    packed = PackagePacker(folder).pack(os.path.join(folder, "packed.tar.gz"))
    manifest = ManifestSchema().load_manifest(ManifestParserFactory.new_from_archive(packed).as_dict())
    assert manifest["name"] == "vae" and manifest["headers"] == ["vae.h"], manifest
    with tarfile.open(packed) as archive:
        names = archive.getnames()
    for name in ("library.json", "link.py", "vae-target.c", "include/vae.h", "lib/thumbv7em-none-eabihf/libvae.a"):
        assert name in names, (name, names)


def link(folder):
    """Runs link.py as PlatformIO does, with each core's flags: `flags library` on a line of the standard input."""
    os.chdir(folder)

    class Environment:
        options, flags, added = {}, "", {}

        def subst(self, text):
            return "arm-none-eabi-gcc" if text == "$CC" else self.flags

        def GetProjectOption(self, name, default):
            return self.options.get(name, default)

        def Append(self, **added):
            self.added = added

    with open("link.py") as file:
        code = compile(file.read(), "link.py", "exec")
    count = 0
    for library, flags in json.load(sys.stdin):
        for full in ("no", "yes"):
            env = Environment()
            env.flags, env.options = "-mthumb " + flags, {"custom_vae_full": full}
            exec(code, {"Import": lambda name: None, "env": env})
            assert env.added["LIBPATH"] == [os.path.realpath(f"lib/{library}")], (flags, env.added)
            assert env.added["LIBS"] == ["vae_full" if full == "yes" else "vae"]
            count += 1
    assert count > 0
    env = Environment()
    env.options = {"custom_vae_target": "z80"}
    try:
        exec(code, {"Import": lambda name: None, "env": env})
        raise AssertionError("a core without a library is taken")
    except SystemExit as refused:
        assert "custom_vae_target" in str(refused), refused


def bill(path):
    """A bill of materials, by CycloneDX's schema."""
    need("cyclonedx")
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path) as file:
        text = file.read()
        try:
            wrong = JsonStrictValidator(SchemaVersion.from_version(json.loads(text)["specVersion"])).validate_str(text)
        except MissingOptionalDependencyException:
            sys.exit(77)
    assert wrong is None, wrong


if __name__ == "__main__":
    {"bill": bill, "kconfig": kconfig, "platformio": platformio, "link": link}[sys.argv[1]](os.path.realpath(sys.argv[2]))
