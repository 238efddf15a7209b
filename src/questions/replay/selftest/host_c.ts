/** The C code of the host's side of a selftest that is the same in every one. */

/** A vCPU and its thread; the table of them follows. */
export const VCPU_THREAD: string = String.raw`
struct vcpu_thread {
	int vm, id;
	void (*code)(void);
	struct access *log;
	int log_length;

	struct kvm_vcpu *vcpu;
	pthread_t thread;
	pid_t tid;
	sem_t ready, go;
	/* Calls that the thread is to make while it is held. */
	int work;
	/* The stop at which it stands, or -1; and its page, if it is a SWITCH(). */
	int stop;
	void *page;
};
`;

/** The side that performs the host's actions. */
export const HOST_SIDE: string = String.raw`
/* Linux 6.1 has these functions; later, every VM has its IDT from the start. */
void vm_init_descriptor_tables(struct kvm_vm *vm) __attribute__((weak));
void vcpu_init_descriptor_tables(struct kvm_vcpu *vcpu) __attribute__((weak));

static struct kvm_vm *vms[NR_VMS];
/* The host's CPUs that stand for p0, p1 and so on, and one for this thread. */
static int cpus[NR_PCPUS + 1];
static int uffd, told[2];

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(tid, sizeof(set), &set), "sched_setaffinity() failed");
}

static __attribute__((__noinline__)) void host_branch(void)
{
	asm volatile("" : : : "memory");
}

/* So many calls, again and again, until a few samples have been taken. */
static void host_work(int calls)
{
	int i, again;

	for (again = 0; again < 10000000; again += calls)
		for (i = 0; i < calls; i++)
			host_branch();
}

/* What the guest has met otherwise than on a CPU of its own. */
static void report(struct vcpu_thread *self)
{
	struct access *a = addr_gva2hva(vms[self->vm], (unsigned long)self->log);
	int i;

	for (i = 0; i < self->log_length; i++, a++) {
		if (a->vector == a->wanted_vector && (a->value & a->mask) == (a->wanted & a->mask))
			continue;
		fprintf(stderr, "line %d: MSR 0x%x is 0x%llx instead of 0x%llx, in bits 0x%llx; ",
			a->line, a->msr, (unsigned long long)a->value,
			(unsigned long long)a->wanted, (unsigned long long)a->mask);
		fprintf(stderr, "vector %d instead of %d\n", a->vector, a->wanted_vector);
		return;
	}
}

/* The guest stands in userspace until the host lets it go on. */
static void stand(struct vcpu_thread *self, bool hold)
{
	struct kvm_run *run = self->vcpu->run;
	int stop = *(int *)((char *)run + run->io.data_offset);

	TEST_ASSERT(write(told[1], &stop, sizeof(stop)) == sizeof(stop), "write() failed");
	if (!hold) {
		sem_wait(&self->go);
		return;
	}
	while (sem_trywait(&self->go)) {
		int work = __atomic_load_n(&self->work, __ATOMIC_ACQUIRE);

		if (!work)
			continue;
		host_work(work);
		__atomic_store_n(&self->work, 0, __ATOMIC_RELEASE);
	}
}

static void *run_vcpu(void *arg)
{
	struct vcpu_thread *self = arg;
	struct ucall uc;

	self->tid = syscall(SYS_gettid);
	sem_post(&self->ready);
	sem_wait(&self->go);
	for (;;) {
		struct kvm_run *run = self->vcpu->run;

		/* vcpu_run() may report the guest's assertion before report() does. */
		while (__vcpu_run(self->vcpu))
			TEST_ASSERT(errno == EINTR, "KVM_RUN failed");
		if (run->exit_reason == KVM_EXIT_IO &&
		    (run->io.port == HOLD_PORT || run->io.port == LEAVE_PORT)) {
			stand(self, run->io.port == HOLD_PORT);
			continue;
		}
		switch (get_ucall(self->vcpu, &uc)) {
		case UCALL_DONE:
			return NULL;
		case UCALL_ABORT:
			report(self);
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("v%d: exit %d, ucall %d", self->id, run->exit_reason,
				  (int)uc.cmd);
		}
	}
}

static void *page_of(int stop)
{
	return addr_gva2hva(vms[threads[vcpu_of_stop[stop]].vm], (unsigned long)stops[stop]);
}

/* Waits until a vCPU stands at a stop of its code. */
static __maybe_unused void stands(int wanted)
{
	struct pollfd fds[] = { { .fd = uffd, .events = POLLIN },
				{ .fd = told[0], .events = POLLIN } };
	struct vcpu_thread *t;
	struct uffd_msg msg;
	int stop;

	while (threads[vcpu_of_stop[wanted]].stop != wanted) {
		TEST_ASSERT(poll(fds, 2, 30000) > 0, "no vCPU comes to stop %d", wanted);
		if (fds[1].revents) {
			TEST_ASSERT(read(told[0], &stop, sizeof(stop)) == sizeof(stop),
				    "read() of the pipe failed");
			threads[vcpu_of_stop[stop]].stop = stop;
			continue;
		}
		TEST_ASSERT(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "read() failed");
		for (stop = 0; stop < NR_STOPS; stop++) {
			void *page = (void *)(unsigned long)(msg.arg.pagefault.address & ~4095ull);

			if (page_of(stop) != page)
				continue;
			t = &threads[vcpu_of_stop[stop]];
			t->page = page;
			t->stop = stop;
		}
	}
}

static void go_on(int v)
{
	struct vcpu_thread *t = &threads[v];
	struct uffdio_zeropage zero = { .range = { (unsigned long)t->page, 4096 } };
	bool faulted = t->page;

	t->page = NULL;
	t->stop = -1;
	if (faulted)
		TEST_ASSERT(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE failed");
	else
		sem_post(&t->go);
}

/* The thread of a vCPU comes to a CPU. */
static void run_on(int v, int p)
{
	pin(threads[v].tid, cpus[p]);
	go_on(v);
}

/* The guest comes to its end, and has checked what it has read. */
static void ends(int v)
{
	pthread_join(threads[v].thread, NULL);
}
`;

/** The host's own LBR events. */
export const HOST_EVENTS: string = String.raw`
extern const char __start_lbr_guest[], __stop_lbr_guest[];

#define RING_PAGES 256
#define CALL_STACKS (PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER)
#define ALL_BRANCHES \
	(PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_KERNEL)

static struct host_event {
	int fd;
	struct perf_event_mmap_page *ring;
} events[NR_EVENTS];

static void event_on(int nr, pid_t tid, int cpu, bool pinned, u64 branches)
{
	struct host_event *e = &events[nr];
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.sample_period = 1000003,
		.sample_type = PERF_SAMPLE_BRANCH_STACK,
		.branch_sample_type = branches,
		.pinned = pinned,
		.exclude_guest = 1,
	};

	if (e->ring) {
		TEST_ASSERT(!ioctl(e->fd, PERF_EVENT_IOC_ENABLE, 0), "ENABLE failed");
		return;
	}
	e->fd = syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	TEST_ASSERT(e->fd >= 0, "perf_event_open() failed");
	e->ring = mmap(NULL, (1 + RING_PAGES) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	TEST_ASSERT(e->ring != MAP_FAILED, "mmap() of the ring failed");
}

static __maybe_unused void event_off(int nr)
{
	TEST_ASSERT(!ioctl(events[nr].fd, PERF_EVENT_IOC_DISABLE, 0), "DISABLE failed");
}

static bool is_guest(u64 address)
{
	return address >= (unsigned long)__start_lbr_guest &&
	       address < (unsigned long)__stop_lbr_guest;
}

/* No sample of the host holds a record of a guest. A full ring takes no more samples. */
static void check_samples(struct host_event *e)
{
	u64 at = 0, head = __atomic_load_n(&e->ring->data_head, __ATOMIC_ACQUIRE);
	char *data = (char *)e->ring + 4096;

	while (at < head) {
		struct perf_event_header *header = (void *)(data + at);
		u64 *nr = (u64 *)(header + 1);
		struct perf_branch_entry *branch = (void *)(nr + 1);
		u64 i;

		at += header->size;
		if (header->type != PERF_RECORD_SAMPLE)
			continue;
		for (i = 0; i < *nr; i++)
			TEST_ASSERT(!is_guest(branch[i].from) && !is_guest(branch[i].to),
				    "a sample of the host has a guest's record, 0x%llx to 0x%llx",
				    (unsigned long long)branch[i].from,
				    (unsigned long long)branch[i].to);
	}
}

static void event_close(int nr)
{
	struct host_event *e = &events[nr];

	if (!e->ring)
		return;
	check_samples(e);
	munmap(e->ring, (1 + RING_PAGES) * 4096);
	close(e->fd);
	e->ring = NULL;
}
`;

/** Branches of the host's code. */
export const WORK: string = String.raw`
/* Code of the host runs on a CPU: in the thread of the vCPU that is held there, or in this one. */
static void work(int v, int p, int calls)
{
	if (v < 0) {
		pin(0, cpus[p]);
		host_work(calls);
		pin(0, cpus[NR_PCPUS]);
		return;
	}
	__atomic_store_n(&threads[v].work, calls, __ATOMIC_RELEASE);
	while (__atomic_load_n(&threads[v].work, __ATOMIC_ACQUIRE))
		sched_yield();
}
`;

/** Its only vCPU is created anew in a VM that is created anew. */
export const MIGRATE_ONE: string = String.raw`
/* Live migration: the vCPU stands at a LEAVE(), or has not run yet. */
static void migrate(int v)
{
	struct vcpu_thread *t = &threads[v];
	struct kvm_x86_state *state = vcpu_save_state(t->vcpu);

	kvm_vm_release(vms[t->vm]);
	t->vcpu = vm_recreate_with_one_vcpu(vms[t->vm]);
	prepare(t->vcpu);
	vcpu_load_state(t->vcpu, state);
	kvm_x86_state_cleanup(state);
}
`;

/** Where the VM has other vCPUs. */
export const MIGRATE_IN_PLACE: string = String.raw`
/* What is saved of a vCPU comes back to the same vCPU: its VM has others, whose threads run. */
static void migrate(int v)
{
	struct kvm_x86_state *state = vcpu_save_state(threads[v].vcpu);

	vcpu_load_state(threads[v].vcpu, state);
	kvm_x86_state_cleanup(state);
}
`;

export const AWAKE: string = String.raw`
/* A deep C-state would lose the records of a CPU that is idle between two vCPUs. */
static void keep_awake(void)
{
	int latency = 0, fd = open("/dev/cpu_dma_latency", O_WRONLY);

	TEST_ASSERT(write(fd, &latency, sizeof(latency)) == sizeof(latency),
		    "/dev/cpu_dma_latency can't be written");
}
`;

/** What comes before the schedule. */
export const PREPARE: string = String.raw`
static void prepare(struct kvm_vcpu *vcpu)
{
	vcpu_set_msr(vcpu, MSR_IA32_PERF_CAPABILITIES, LBR_FORMAT);
}
`;

export const MAIN: string = String.raw`
/* CPUID.0AH:EAX, as KVM has it for guests. */
static u32 vpmu(void)
{
	return get_cpuid_entry(kvm_get_supported_cpuid(), 0xa, 0)->eax;
}

static int lbr_depth(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/cpu/caps/branches", "r");
	int depth = 0;

	if (file && fscanf(file, "%d", &depth) != 1)
		depth = 0;
	return depth;
}

static void choose_cpus(void)
{
	cpu_set_t allowed;
	int cpu, n = 0;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity() failed");
	__TEST_REQUIRE(CPU_COUNT(&allowed) > NR_PCPUS, "%d CPUs are needed", NR_PCPUS + 1);
	for (cpu = 0; n <= NR_PCPUS; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[n++] = cpu;
	pin(0, cpus[NR_PCPUS]);
}

static void create_vms(void)
{
	int i;

	counters = BIT_ULL(vpmu() >> 8 & 0xff) - 1;
	for (i = 0; i < NR_VMS; i++) {
		vms[i] = vm_create(NR_VCPUS / NR_VMS);
		if (vm_init_descriptor_tables)
			vm_init_descriptor_tables(vms[i]);
		sync_global_to_guest(vms[i], counters);
	}
	for (i = 0; i < NR_VCPUS; i++) {
		struct vcpu_thread *t = &threads[i];

		t->vcpu = vm_vcpu_add(vms[t->vm], i % (NR_VCPUS / NR_VMS), t->code);
		if (vcpu_init_descriptor_tables)
			vcpu_init_descriptor_tables(t->vcpu);
		prepare(t->vcpu);
	}
}

/* Takes the pages of the stops away. */
static void open_stops(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int stop;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	__TEST_REQUIRE(uffd >= 0, "userfaultfd() is needed, with faults of the kernel");
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API failed");
	for (stop = 0; stop < NR_STOPS; stop++) {
		struct uffdio_register page = {
			.range = { (unsigned long)page_of(stop), 4096 },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		TEST_ASSERT(!madvise(page_of(stop), 4096, MADV_DONTNEED), "madvise() failed");
		TEST_ASSERT(!ioctl(uffd, UFFDIO_REGISTER, &page), "UFFDIO_REGISTER failed");
	}
}

static void start_threads(void)
{
	int i;

	TEST_ASSERT(!pipe(told), "pipe() failed");
	for (i = 0; i < NR_VCPUS; i++) {
		struct vcpu_thread *t = &threads[i];

		t->stop = -1;
		sem_init(&t->ready, 0, 0);
		sem_init(&t->go, 0, 0);
		TEST_ASSERT(!pthread_create(&t->thread, NULL, run_vcpu, t),
			    "pthread_create() failed");
		sem_wait(&t->ready);
	}
}

int main(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_PDCM));
	TEST_REQUIRE((kvm_get_feature_msr(MSR_IA32_PERF_CAPABILITIES) & 0x3f) == LBR_FORMAT);
	TEST_REQUIRE(lbr_depth() == LBR_DEPTH);
	/* The version of the vPMU, which is 0 if kvm.enable_pmu is off. */
	TEST_REQUIRE(vpmu() & 0xff);

	choose_cpus();
	create_vms();
	open_stops();
	start_threads();
	schedule();
	return 0;
}
`;
