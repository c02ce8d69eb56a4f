// What GPUs may round float32 to where they multiply, which tch cannot set. Nothing that C++ throws leaves this file: a call
// gives 0, or 1 and a text.

#include <ATen/Context.h>

#include <cstdio>
#include <exception>

// Of matrix products and convolutions alike: left alone, cuDNN rounds and cuBLAS does not.
extern "C" int crossover_allow_tf32(int allow, char *text, size_t capacity) noexcept {
  try {
    const auto precision = allow ? at::Float32Precision::TF32 : at::Float32Precision::IEEE;
    for (const auto op : {at::Float32Op::MATMUL, at::Float32Op::CONV, at::Float32Op::RNN})
      at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, op, precision);
    return 0;
  } catch (const std::exception &error) {
    std::snprintf(text, capacity, "%s", error.what());
  } catch (...) {
    std::snprintf(text, capacity, "an exception of no known type");
  }
  return 1;
}
