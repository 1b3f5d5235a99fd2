"""Links the library of the project's core. PlatformIO runs this in the library's folder, with the construction environment as `env`."""

import os
import subprocess

Import("env")  # noqa: F821


def target(compiler, flags):
    """The folder of lib/ that these flags ask for, as the compiler understands them."""
    command = [compiler, *flags, "-E", "-P", "vae-target.c"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return printed.split("vae_target=")[1].split()[0]


def library():
    """The folder and the name of the library; platformio.ini may say both."""
    name = env.GetProjectOption("custom_vae_target", "") or target(env.subst("$CC"), env.subst("$CCFLAGS $CFLAGS").split())
    folder = os.path.realpath(os.path.join("lib", name))
    if not os.path.isdir(folder):
        known = ", ".join(sorted(os.listdir("lib")))
        raise SystemExit(f"vae has no library for this core ({name}): set custom_vae_target in platformio.ini to one of {known}")
    full = str(env.GetProjectOption("custom_vae_full", "no")).lower() in ("yes", "true", "1")
    return folder, "vae_full" if full else "vae"


folder, name = library()
env.Append(LIBPATH=[folder], LIBS=[name])
