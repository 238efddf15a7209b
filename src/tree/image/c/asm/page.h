/*
 * Stands for arch/x86/include/asm/page.h. PAGE_OFFSET is where the upper half of the
 * addresses begins: below lie user addresses, and the LBR filter tells them from the kernel's by it.
 */
#ifndef VLBR_ASM_PAGE_H
#define VLBR_ASM_PAGE_H
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#ifdef CONFIG_64BIT
#define PAGE_OFFSET 0xffff800000000000UL
#else
#define PAGE_OFFSET 0xc0000000UL
#endif
#ifndef __ASSEMBLY__
typedef struct { unsigned long pte; } pte_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct { unsigned long pgd; } pgd_t;
typedef struct { unsigned long pgprot; } pgprot_t;
struct page;
typedef struct page *pgtable_t;
#define pte_val(x) ((x).pte)
#define pmd_val(x) ((x).pmd)
#define pgd_val(x) ((x).pgd)
#define pgprot_val(x) ((x).pgprot)
#define __pte(x) ((pte_t){ x })
#define __pmd(x) ((pmd_t){ x })
#define __pgprot(x) ((pgprot_t){ x })
#define __pa(x) ((unsigned long)(x))
#define __va(x) ((void *)(unsigned long)(x))
#define virt_to_page(x) pfn_to_page(__pa(x) >> PAGE_SHIFT)
#define virt_addr_valid(x) 1
#define page_to_phys(page) (page_to_pfn(page) << PAGE_SHIFT)
#define clear_page(p) __builtin_memset(p, 0, PAGE_SIZE)
#define copy_page(to, from) __builtin_memcpy(to, from, PAGE_SIZE)
#define pfn_valid(x) 1
#define ARCH_PFN_OFFSET 0
#endif
#include <asm-generic/memory_model.h>
#include <asm-generic/getorder.h>
#endif
