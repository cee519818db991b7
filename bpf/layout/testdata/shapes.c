/*
 * Types of each kind that the kernel's headers have, for the tests of what is made of
 * their debug information. record.sh compiles it.
 */
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long s64 __attribute__((aligned(8)));

enum small { SMALL_A, SMALL_B = 7 };
enum negative { NEGATIVE = -2, ZERO = 0 };
enum wide { WIDE = 0x123456789abcdefULL };
enum __attribute__((packed)) byte { BYTE = 200 };

struct later;
struct list {
	struct list *next, **pprev;
};

struct bits {
	u32 first : 1, second : 3;
	u32 : 0;
	u64 across : 33;
	int with_sign : 5;
	unsigned char tail : 2;
	enum small kind : 4;
	_Bool yes : 1;
	u32 whole;
} __attribute__((packed, aligned(4)));

union either {
	u32 word;
	unsigned char bytes[4];
	struct {
		unsigned short low, high;
	};
};

struct shapes {
	struct list list;
	struct bits bits;
	union {
		union either either;
		struct {
			u32 inner;
			struct {
				char deep;
			};
		};
	};
	enum small small;
	enum negative negative;
	enum wide wide;
	enum byte byte;
	const volatile u32 *restrict chain;
	const struct later *const later;
	int (*function)(struct shapes *, const char *, ...);
	void (*callback)(void);
	void *nothing;
	char signed_by_machine;
	signed char c;
	long double real;
	unsigned __int128 huge;
	int matrix[3][5];
	struct list none[0];
	s64 aligned;
	_Bool flag;
	struct shapes *self;
	struct {
		int x;
	} named, twice[2];
	unsigned char flexible[];
};

struct shapes *amp_wanted_shapes;
enum wide *amp_wanted_wide;
typedef void (*probe_t)(void *, struct list *, int);
probe_t *amp_wanted_probe_t;
