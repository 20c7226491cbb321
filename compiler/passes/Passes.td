// The passes of the compiler, with the IR before and after each.
#ifndef GPTQC_COMPILER_PASSES_PASSES_TD
#define GPTQC_COMPILER_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

def AssignSchedule : Pass<"gptqc-assign-schedule", "::mlir::ModuleOp"> {
  let summary = "Give every gptq.linear a legal schedule";
  let description = [{
    Keeps a schedule that is there and legal, refuses one that is not, and asks the cost model where there
    is none.

    Before:
    ```mlir
    %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">,
      target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
    ```
    After:
    ```mlir
    %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">,
      schedule = #gptq.schedule<"mma t64x8x256 warps4 kwarps4 stages4 splitk2">,
      target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
    ```
  }];
}

def LowerToTile : Pass<"gptqc-lower-to-tile", "::mlir::ModuleOp"> {
  let summary = "Turn scheduled layers into tile kernels that load one k tile at a time";
  let description = [{
    The function around a gptq.linear becomes a tile.kernel of its name. Buffers have one slot; the loop
    over k copies, waits, multiplies and waits again.

    Before:
    ```mlir
    func.func @gptqc_linear(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
      %y = gptq.linear %x {descriptor = ..., schedule = ..., target = ...} : ...
      return %y : tensor<?x4096xf16>
    }
    ```
    After:
    ```mlir
    tile.kernel @gptqc_linear attributes {descriptor = ..., schedule = ..., target = ...} {
      %w = tile.shared <weights> : !tile.shared<1 slots, 4096 bytes>
      ...
      scf.for %kt = %first to %last step %c1 {
        tile.copy_weights %w[%c0], rows %n, k %kt : !tile.shared<1 slots, 4096 bytes>
        tile.copy_scales ...
        tile.copy_activations ...
        tile.commit
        tile.wait 0
        tile.barrier
        scf.for %step = ... {
          %b = tile.load_activations ...
          scf.for %t = ... { tile.accumulate ... }
        }
        tile.barrier
      }
      tile.reduce_warps %sums into %totals : ...
      tile.store %totals, rows %n, tokens %m : ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::gptqc::tile::TileDialect"];
}

def PipelineLoads : Pass<"gptqc-pipeline-loads", "::mlir::ModuleOp"> {
  let summary = "Run the copies of the k loop `stages - 1` tiles ahead";
  let description = [{
    Widens the stage buffers to one slot per stage, starts the first `stages - 1` tiles before the loop and
    lets each iteration start the tile that comes `stages - 1` later. One barrier an iteration is enough:
    it publishes the tile that has arrived and frees the slot that the next copies fill. A schedule with one
    stage stays as it is.

    Before (`stages4`):
    ```mlir
    scf.for %kt = %first to %last step %c1 {
      tile.copy_weights %w[%c0], rows %n, k %kt : !tile.shared<1 slots, 4096 bytes>
      tile.commit
      tile.wait 0
      tile.barrier
      products of slot %c0
      tile.barrier
    }
    ```
    After:
    ```mlir
    scf.for %stage = %c0 to %c3 step %c1 {
      %kt = arith.addi %first, %stage : index
      %in = arith.cmpi slt, %kt, %last : index
      scf.if %in { tile.copy_weights %w[%stage], rows %n, k %kt : !tile.shared<4 slots, 4096 bytes> }
      tile.commit
    } {tile.name = "stage", tile.unroll}
    scf.for %kt = %first to %last step %c1 {
      tile.wait 2
      tile.barrier
      %next = arith.addi %kt, %c3 : index
      %in = arith.cmpi slt, %next, %last : index
      scf.if %in { tile.copy_weights %w[(next - first) % 4], rows %n, k %next : ... }
      tile.commit
      products of slot (kt - first) % 4
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def PlanSharedMemory : Pass<"gptqc-plan-shared-memory", "::mlir::ModuleOp"> {
  let summary = "Place the buffers in shared memory";
  let description = [{
    First fit in program order; buffers whose live ranges (in top-level ops of the kernel) do not meet may
    overlap, so that the sums of the epilogue overlay the stages. Fails when the target has less.

    Before:
    ```mlir
    %w = tile.shared <weights> : !tile.shared<4 slots, 4096 bytes>
    %t = tile.shared <sums> : !tile.shared<1 slots, 8704 bytes>
    ```
    After:
    ```mlir
    tile.kernel @gptqc_linear attributes {..., shared_bytes = 16384 : i64}
    %w = tile.shared <weights> {offset = 0 : i64} : !tile.shared<4 slots, 4096 bytes>
    %t = tile.shared <sums> {offset = 0 : i64} : !tile.shared<1 slots, 8704 bytes>
    ```
  }];
}

def VerifyEmittable : Pass<"gptqc-verify-emittable", "::mlir::ModuleOp"> {
  let summary = "Check that the emitter can print the module";
  let description = [{
    Changes nothing. The module must hold tile kernels alone; in them only tile ops, scf.for and scf.if
    without results, and index arithmetic; offsets and shared_bytes are set and loops have names.
  }];
}

#endif // GPTQC_COMPILER_PASSES_PASSES_TD
