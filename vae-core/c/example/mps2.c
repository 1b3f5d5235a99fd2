/* The example's port to QEMU's mps2-an386, a Cortex-M4F: vector table, start-up, and the emulator's output. */
#include "port.h"

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_top[];
int main(void);

#define CPACR (*(volatile uint32_t *)0xE000ED88)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)
#define TIMER 0x00FFFFFFu

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };

static void semihost(uintptr_t operation, uintptr_t argument) {
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void port_write(const char *text) { semihost(SYS_WRITE0, (uintptr_t)text); }

/* SysTick counts down; QEMU ticks it once in 40 instructions. */
uint32_t port_ticks(void) { return TIMER - SYST_CVR; }

static void fault(void) {
    port_write("fault\n");
    for (;;) {
        semihost(SYS_EXIT, RUN_TIME_ERROR);
    }
}

void reset(void);
void reset(void) {
    CPACR |= 0xFu << 20; /* the FPU, which the library uses */
    __asm__ volatile("dsb\n\tisb");
    for (uint32_t *to = data_start, *from = data_load; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    SYST_RVR = TIMER;
    SYST_CVR = 0;
    SYST_CSR = 5;
    const int status = main();
    for (;;) {
        semihost(SYS_EXIT, status == 0 ? APPLICATION_EXIT : RUN_TIME_ERROR);
    }
}

/* Interrupts are not used. */
__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};
