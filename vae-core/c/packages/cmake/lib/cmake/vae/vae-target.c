/* Which library a compiler's flags ask for, told by what it defines: this file is preprocessed, never compiled. A core runs the code of the
 * smaller ones of its kind, but is not linked with another float ABI. */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#if defined(__ARM_PCS_VFP)
#if __ARM_ARCH >= 8 && __ARM_FEATURE_MVE
vae_target=thumbv8.1m.main-none-eabihf
#elif __ARM_ARCH >= 8
vae_target=thumbv8m.main-none-eabihf
#else
vae_target=thumbv7em-none-eabihf
#endif
#elif defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
vae_target=thumbv8m.main-none-eabi
#elif defined(__ARM_ARCH_7EM__)
vae_target=thumbv7em-none-eabi
#elif defined(__ARM_ARCH_7M__)
vae_target=thumbv7m-none-eabi
#else
vae_target=thumbv6m-none-eabi
#endif
#elif defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_float_abi_soft) && defined(__riscv_mul) && defined(__riscv_compressed)
#if defined(__riscv_atomic)
vae_target=riscv32imac-unknown-none-elf
#else
vae_target=riscv32imc-unknown-none-elf
#endif
#else
vae_target=none
#endif
