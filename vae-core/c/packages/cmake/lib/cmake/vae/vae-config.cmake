# find_package(vae): the targets vae::vae, and vae::full with the spectral front-ends and every family of models.
#
# VAE_TARGET names the library, a folder of lib/; where it is not set, it is told from the compiler and its flags (CMAKE_C_FLAGS,
# add_compile_options before find_package).

get_filename_component(_vae_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
file(GLOB _vae_targets RELATIVE "${_vae_root}/lib" "${_vae_root}/lib/*/libvae.a")
list(TRANSFORM _vae_targets REPLACE "/libvae.a$" "")

set(_vae_target "${VAE_TARGET}")
if(NOT _vae_target)
    if(CMAKE_C_COMPILER)
        set(_vae_language C)
    else()
        set(_vae_language CXX)
    endif()
    separate_arguments(_vae_flags NATIVE_COMMAND "${CMAKE_${_vae_language}_FLAGS}")
    get_directory_property(_vae_options COMPILE_OPTIONS)
    # What depends on a target is not known yet.
    list(FILTER _vae_options EXCLUDE REGEX "\\$<")
    if(CMAKE_${_vae_language}_COMPILER_TARGET)
        list(APPEND _vae_flags "--target=${CMAKE_${_vae_language}_COMPILER_TARGET}")
    endif()
    execute_process(
        COMMAND ${CMAKE_${_vae_language}_COMPILER} ${_vae_flags} ${_vae_options} -E -P "${CMAKE_CURRENT_LIST_DIR}/vae-target.c"
        OUTPUT_VARIABLE _vae_preprocessed ERROR_QUIET)
    if(_vae_preprocessed MATCHES "vae_target=([a-z0-9.-]+)")
        set(_vae_target "${CMAKE_MATCH_1}")
    endif()
endif()

if(NOT _vae_target IN_LIST _vae_targets)
    string(REPLACE ";" ", " _vae_targets "${_vae_targets}")
    set(vae_FOUND FALSE)
    set(vae_NOT_FOUND_MESSAGE "there is no library for the core that the compiler's flags ask for (${_vae_target}). Give the flags in \
CMAKE_C_FLAGS or in add_compile_options before find_package(vae), or set VAE_TARGET to one of ${_vae_targets}.")
    return()
endif()

foreach(_vae_name vae full)
    if(NOT TARGET vae::${_vae_name})
        add_library(vae::${_vae_name} STATIC IMPORTED)
        set(_vae_file libvae.a)
        if(_vae_name STREQUAL full)
            set(_vae_file libvae_full.a)
        endif()
        set_target_properties(vae::${_vae_name} PROPERTIES
            IMPORTED_LOCATION "${_vae_root}/lib/${_vae_target}/${_vae_file}"
            INTERFACE_INCLUDE_DIRECTORIES "${_vae_root}/include")
    endif()
endforeach()
