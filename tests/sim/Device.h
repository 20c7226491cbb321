// What the host versions of the ptx/ headers call, on behalf of the thread that runs. Plain types
// only: the callers are instrumented.
#ifndef GPTQC_TESTS_SIM_DEVICE_H
#define GPTQC_TESTS_SIM_DEVICE_H

#include <cstddef>
#include <cstdint>

namespace gptqc::sim {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// By value: instrumented reads must not touch the simulator's own memory.
struct Place {
  Dim3 index, threads, grid;
  unsigned clusterRank = 0, clusterSize = 1;
};
Dim3 threadIndex();
Place currentBlock();

// Shared memory and barriers.

/// The block's dynamic shared memory, 1024-byte aligned as on the device.
unsigned char *sharedMemory();
/// Offset in the block's shared memory: the 32-bit address that PTX sees.
uint32_t sharedAddress(const void *pointer);
/// The same place in the shared memory of block `rank` of the cluster (mapa).
void *mapShared(void *pointer, unsigned rank);

/// Waits until every thread of the block that still runs has arrived.
void blockBarrier();
/// bar.sync and bar.arrive of `threads` threads (whole warps) on barrier `id`, 1..15.
void namedBarrier(int id, int threads);
void namedArrive(int id, int threads);
void clusterArrive();
/// Arrives without handing on what this thread did.
void clusterArriveRelaxed();
void clusterWait();

/// Waits until all 32 lanes of the warp have arrived; orders their accesses.
void warpBarrier();

// Memory order across blocks.

/// A relaxed atomic add; returns the old value.
uint32_t atomicAdd(uint32_t *address, uint32_t value);
/// Makes what this thread knows visible to those who observe its later atomics, and what its
/// earlier atomics observed known to this thread.
void fenceDevice();

// Asynchronous copies.

/// cp.async of 16 bytes, of which `bytes` come from `source`.
void copyAsync16(void *shared, const void *source, int bytes);
void commitCopies();
void waitCopies(int pending);

void mbarrierInit(uint64_t *barrier, uint32_t count);
/// Arrives, on the own block's barrier or (through mapShared) another's, after adding `bytes` to
/// the transactions that the phase expects.
void mbarrierArrive(uint64_t *barrier, uint32_t bytes = 0);
/// Waits until the phase with this parity has completed.
void mbarrierWait(uint64_t *barrier, uint32_t parity);
void fenceMbarrierInit();
/// fence.proxy.async: orders generic accesses before later ones of the async proxy.
void fenceProxyAsync();

/// st.async of 16 bytes to the same place in block `rank` of the cluster, which completes them on
/// its mbarrier.
void storeAsync16(void *shared, const void *value, uint64_t *barrier, unsigned rank);

/// What a CUtensorMap says of a 2-d tensor; elements of 2 bytes, 128-byte swizzle or none.
struct alignas(64) TensorMap {
  uint64_t base = 0;
  int64_t columns = 0, rows = 0;
  int64_t strideBytes = 0;
  int32_t boxColumns = 0, boxRows = 0;
  int32_t swizzle = 0; ///< bytes: 0 or 128
  int32_t reserved[19] = {};
};
static_assert(sizeof(TensorMap) == 128, "as large as a CUtensorMap");

/// Copies to shared memory that complete `bytes` of transactions on `barrier`; to the same places
/// in every block of the cluster whose bit is set in `mask` (0: the own block).
void bulkLoad(void *shared, const void *source, uint32_t bytes, uint64_t *barrier,
              uint16_t mask = 0);
void tensorLoad(void *shared, const TensorMap *map, int column, int row, uint64_t *barrier,
                uint16_t mask = 0);
/// A copy from shared memory, in the open group of the issuing thread.
void tensorStore(const TensorMap *map, int column, int row, const void *shared);
void commitStores();
/// Waits until at most `pending` groups still read shared memory.
void waitStoresRead(int pending);

// Warps and warpgroups.

/// D[16][8] += A[16][16] B[16][8], the fragments of mma.m16n8k16; `d`, `a`, `b` of the lanes.
struct MmaOperand {
  float *d;
  const uint32_t *a, *b;
};
void mmaF16(MmaOperand operand);
void mmaBf16(MmaOperand operand);

/// ldmatrix: d[i] gets this lane's pair of matrix i of `matrices`, whose row addresses the lanes
/// 8i..8i+7 give.
void loadMatrices(int matrices, const void *row, uint32_t *d);
/// ldmatrix.trans: this lane's pair of the transposed matrix.
void loadMatricesTransposed(int matrices, const void *row, uint32_t *d);
/// stmatrix.trans: element (row, column) of matrix i lands at 16-bit position `row` behind the
/// address of lane 8i + column.
void storeMatricesTransposed(int matrices, void *column, const uint32_t *d);

/// shfl of lane 0's value to all lanes.
uint32_t broadcastLane0(uint32_t value);
/// shfl.bfly: the value of lane `lane ^ mask`; the mask is the same in all lanes.
uint32_t shuffleXor(uint32_t value, int mask);
/// shfl.idx: the value of lane `lane`.
uint32_t shuffle(uint32_t value, int lane);

/// wgmma.m64nNk16 with A in registers: d[columns / 2] += A B, B by its descriptor, when
/// `accumulate`, else d = A B.
struct WgmmaOperand {
  float *d;
  int columns;
  const uint32_t *a;
  uint64_t descriptor;
  bool accumulate, isBf16;
};
void wgmma(WgmmaOperand operand);
void wgmmaFence();
void wgmmaCommit();
void wgmmaWait(int pending);
/// setmaxnreg: all warps of a warpgroup must ask for the same.
void setMaxRegisters(int count);

// Programmatic dependent launch.

void gridWait();
void gridLaunchDependents();

/// Checks an access that the compiler's instrumentation did not see, aligned to its size.
void touch(const void *address, size_t bytes, bool isWrite);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_DEVICE_H
