/* What the example takes of ESP-IDF's. */
#include <stdint.h>
int64_t esp_timer_get_time(void);
