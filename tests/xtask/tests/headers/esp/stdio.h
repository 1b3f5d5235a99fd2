/* What the example takes of the C library, which a compiler by itself may not have. */
typedef struct file FILE;
extern FILE *stdout;
int fputs(const char *text, FILE *file);
