// Every device header: an index for editors, and what the header self-check compiles.
#ifndef GPTQC_TEMPLATES_ALL_CUH
#define GPTQC_TEMPLATES_ALL_CUH

#include "gptqc/accumulate.cuh"
#include "gptqc/args.cuh"
#include "gptqc/base.cuh"
#include "gptqc/copy_activations.cuh"
#include "gptqc/copy_weights.cuh"
#include "gptqc/dequant.cuh"
#include "gptqc/epilogue.cuh"
#include "gptqc/experts.cuh"
#include "gptqc/fragment.cuh"
#include "gptqc/gemv.cuh"
#include "gptqc/gemv_rows.cuh"
#include "gptqc/items.cuh"
#include "gptqc/meeting.cuh"
#include "gptqc/permute.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/reduce.cuh"
#include "gptqc/rows_exchange.cuh"
#include "gptqc/simt.cuh"
#include "gptqc/tile.cuh"
#include "gptqc/types.cuh"
#include "gptqc/unpack.cuh"
#include "gptqc/weight_stream.cuh"
#include "gptqc/wgmma_copy.cuh"
#include "gptqc/wgmma_multiply.cuh"
#include "gptqc/wgmma_plan.cuh"
#include "gptqc/wgmma_store.cuh"

#endif // GPTQC_TEMPLATES_ALL_CUH
