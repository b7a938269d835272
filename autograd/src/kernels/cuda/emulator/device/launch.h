// The way in: a table of the kernels, and a function that runs one of them.

#pragma once
#include <string>
#include <type_traits>

namespace emulator {

// Mirrored in `library.rs`.
struct Kernel {
    const char* name;
    void (*call)(void**);
    const char* signature;
    unsigned threads;
};

// One letter a parameter, and the size of structs: `p` pointer, `i` int, `u` unsigned, `q` u64, `f` float, `s16 ` struct.
template <class T> std::string letter() {
    if (std::is_pointer<T>::value) return "p";
    if (std::is_same<T, int>::value) return "i";
    if (std::is_same<T, unsigned>::value) return "u";
    if (std::is_same<T, unsigned long long>::value) return "q";
    if (std::is_same<T, float>::value) return "f";
    return "s" + std::to_string(sizeof(T)) + " ";
}

template <class... A> const char* signature(void (*)(A...)) {
    static const std::string text = (std::string() + ... + letter<A>());
    return text.c_str();
}

template <class... A, size_t... I> void unpack(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(A*)arguments[I]...);
}

template <class... A> void call(void (*kernel)(A...), void** arguments) {
    unpack(kernel, arguments, std::index_sequence_for<A...>());
}

// Null, or what went wrong.
static const char* launch(const Kernel& kernel, const unsigned* blocks, unsigned threads, unsigned shared, void** arguments,
                          uint64_t order) {
    failure[0] = 0;
    block_index = {0, 0, 0};
    block_size = {threads, 1, 1};
    grid_size = {blocks[0], blocks[1], blocks[2]};
    kernel_call = kernel.call;
    kernel_arguments = arguments;
    launch_bytes = shared;
    // Exactly as much as was asked for, so that an address sanitizer sees what lies beyond.
    void* room = nullptr;
    if (posix_memalign(&room, 256, shared ? shared : 1)) return "no memory for a block";
    launch_room = (char*)room;
    if (threads != kernel.threads) {
        fail("blocks of %u threads, where the kernel is written for %u", threads, kernel.threads);
    } else if (blocks[1] > MOST_BLOCKS || blocks[2] > MOST_BLOCKS) {
        fail("%u by %u blocks along y and z, where there may be %u", blocks[1], blocks[2], MOST_BLOCKS);
    } else {
        run_blocks(order);
    }
    free(launch_room);
    return failure[0] ? failure : nullptr;
}

}  // namespace emulator

#define EXPORT(kernel) \
    {#kernel, [](void** arguments) { emulator::call(kernel, arguments); }, emulator::signature(kernel), kernel##_threads},
