// Descriptors at the ends of their ranges.
func.func @largest(%x: tensor<?x1073741824xf16>) -> tensor<?x1024xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w8 g1 asym f16->f16 n1024 k1073741824 m8193..">, target = #gptq.target<"sm_90a">} : tensor<?x1073741824xf16> -> tensor<?x1024xf16>
  return %y : tensor<?x1024xf16>
}

// -----

func.func @smallest(%x: tensor<?x1xbf16>) -> tensor<?x1xbf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w2 g-1 sym bf16->bf16 n1 k1 m1..1">, target = #gptq.target<"sm_120">} : tensor<?x1xbf16> -> tensor<?x1xbf16>
  return %y : tensor<?x1xbf16>
}

// -----

func.func @ragged(%x: tensor<?x4095xf16>) -> tensor<?x7393xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w7 g32 asym actorder ragged f16->f16 n7393 k4095 m33..64">, target = #gptq.target<"sm_75">} : tensor<?x4095xf16> -> tensor<?x7393xf16>
  return %y : tensor<?x7393xf16>
}
