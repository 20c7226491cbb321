// Host version of ptx/tma.cuh.
#ifndef GPTQC_TEMPLATES_PTX_TMA_CUH
#define GPTQC_TEMPLATES_PTX_TMA_CUH

#include "gptqc/ptx/mbarrier.cuh"

namespace gptqc {

/// Holds a sim::TensorMap.
struct __align__(64) tensor_map {
  u64 opaque[16];
};
inline const sim::TensorMap *tensor_map_facts(const tensor_map &map) {
  return (const sim::TensorMap *)&map;
}

inline void tma_prefetch_map(const tensor_map &) {}
inline void bulk_load(void *shared, const void *global, u32 bytes, mbarrier *barrier) {
  sim::bulkLoad(shared, global, bytes, mbarrier_word(barrier));
}
inline void tma_load_2d(void *shared, const tensor_map &map, int x, int y, mbarrier *barrier) {
  sim::tensorLoad(shared, tensor_map_facts(map), x, y, mbarrier_word(barrier));
}
inline void tma_load_2d_multicast(void *shared, const tensor_map &map, int x, int y,
                                  mbarrier *barrier, u16 blocks) {
  sim::tensorLoad(shared, tensor_map_facts(map), x, y, mbarrier_word(barrier), blocks);
}
inline void tma_store_2d(const tensor_map &map, const void *shared, int x, int y) {
  sim::tensorStore(tensor_map_facts(map), x, y, shared);
}
inline void bulk_commit() { sim::commitStores(); }
template <int pending> inline void bulk_wait_read() { sim::waitStoresRead(pending); }
inline void fence_proxy_async() { sim::fenceProxyAsync(); }

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PTX_TMA_CUH
