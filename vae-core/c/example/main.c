/* Where nothing else runs: the example is the program. */
#include "port.h"

int main(void) { return motor(); }
