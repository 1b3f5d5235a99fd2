/* What the example takes of Arduino's. */
#include <stdint.h>
unsigned long micros(void);
extern struct Port {
    void begin(unsigned long baud);
    void print(const char *text);
    operator bool();
} Serial;
