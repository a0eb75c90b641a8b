/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Modules come and go: what they must be, shared objects, the configuration's. */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "mem.h"
#include "panic.h"
#include "spool-modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Over every module's shared.spool: a shared object that two spools load is one
   object. */
static pthread_mutex_t owner_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Such a one does all that it does in its init, as registering codecs. */
static bool is_asked_nothing(const io_infrastructure *io)
{
	return io->shared.deinit == NULL && io->shared.after == NULL &&
		io->io_process_disk_queue == NULL &&
		io->io_writeheaders == NULL && io->io_readheaders == NULL &&
		io->io_unlinkheaders == NULL && io->io_writebody == NULL &&
		io->io_readbody == NULL && io->io_unlinkbody == NULL &&
		io->io_close == NULL;
}

/* False: it is some spool's already. */
static bool claim_module(io_infrastructure *io, struct spool *spool)
{
	bool is_free;

	(void)pthread_mutex_lock(&owner_mutex);
	is_free = io->shared.spool == NULL ||
		(io->shared.spool != spool && is_asked_nothing(io));
	if (is_free)
		io->shared.spool = spool;
	(void)pthread_mutex_unlock(&owner_mutex);
	return is_free;
}

static void release_module(io_infrastructure *io, const struct spool *spool)
{
	(void)pthread_mutex_lock(&owner_mutex);
	/* else another one has it, too */
	if (io->shared.spool == spool)
		io->shared.spool = NULL;
	(void)pthread_mutex_unlock(&owner_mutex);
}

/* What a module says about itself; before this nothing of it is called, and no
   pointer in it is followed. */
static int check_shared(const shared_module_infrastructure *shared,
			const char *who, char **error_r)
{
	if (shared->magic != SPOOL_MODULE_MAGIC)
		return spool_fail(error_r, EINVAL,
				  "module %s: it is no module for Bobbin "
				  "(magic 0x%08x, not 0x%08x)",
				  who, (unsigned int)shared->magic,
				  SPOOL_MODULE_MAGIC);
	if (shared->abi_version != SPOOL_MODULE_ABI)
		return spool_fail(error_r, EINVAL,
				  "module %s: it was not built for this "
				  "version of Bobbin (module interface %u, "
				  "not %u): build it again",
				  who, (unsigned int)shared->abi_version,
				  SPOOL_MODULE_ABI);
	if (shared->size != sizeof(io_infrastructure))
		return spool_fail(error_r, EINVAL,
				  "module %s: it was not built for this "
				  "version of Bobbin (its io_infrastructure "
				  "has %zu bytes, not %zu): build it again",
				  who, shared->size, sizeof(io_infrastructure));
	if (shared->name == NULL)
		return spool_fail(error_r, EINVAL, "module %s: it has no name",
				  who);
	return 0;
}

static int init_module(io_infrastructure *io, const char *who,
		       const char *config, char **error_r)
{
	const char *why;

	io_clear_error();
	if (io->shared.init == NULL || io->shared.init(io, config) >= 0)
		return 0;
	why = io_get_error();
	return spool_fail(error_r, EINVAL, "module %s: %s", who,
			  *why != '\0' ? why : "its init failed");
}

/* path, handle: NULL for what is no shared object. */
static int add_module(struct spool *spool, io_infrastructure *io,
		      const char *path, void *handle, const char *config,
		      char **error_r)
{
	unsigned int at = spool->module_count;
	const char *who;
	int ret;

	if (check_shared(&io->shared, path != NULL ? path : "of this program",
			 error_r) < 0)
		return -1;
	who = path != NULL ? path : io->shared.name;
	/* it would be asked about messages that it has not seen, by threads that
	   go through the modules right now */
	if (atomic_load(&spool->in_use))
		return spool_fail(error_r, EBUSY,
				  "module %s: the spool is in use: modules are "
				  "added before the first message",
				  who);
	/* whose place is chosen already */
	if (spool->adding)
		return spool_fail(error_r, EBUSY,
				  "module %s: the init of another one is "
				  "running: it adds no modules",
				  who);
	if (at == SPOOL_MODULES_MAX)
		return spool_fail(error_r, EINVAL, "module %s: more than %d",
				  who, SPOOL_MODULES_MAX);
	if (!claim_module(io, spool))
		return spool_fail(error_r, EBUSY,
				  "module %s: it is in use: one spool at a "
				  "time, and once in it",
				  who);
	spool->adding = true;
	ret = init_module(io, who, config == NULL ? "" : config, error_r);
	spool->adding = false;
	if (ret < 0) {
		release_module(io, spool);
		return -1;
	}
	/* the native store stays the last */
	if (spool->store != NULL) {
		spool->modules[at] = spool->modules[at - 1];
		at--;
	}
	memset(&spool->modules[at], 0, sizeof(spool->modules[at]));
	spool->modules[at].io = io;
	spool->modules[at].handle = handle;
	spool->module_count++;
	return 0;
}

int spool_add_module(struct spool *spool, io_infrastructure *module,
		     const char *config, char **error_r)
{
	return add_module(spool, module, NULL, NULL, config, error_r);
}

void spool_module_free(io_infrastructure **_module)
{
	io_infrastructure *module = *_module;

	if (module == NULL)
		return;
	if (module->shared.spool != NULL)
		i_panic("spool_module_free(): module %s is of a spool, which "
			"frees it when it is closed",
			module->shared.name);
	*_module = NULL;
	module->shared.deinit(module);
}

/*
 * Shared objects
 */

/* Opening one runs its constructors: whether that may be is asked before. */
static int check_file(const char *path, char **error_r)
{
	struct stat st;

	if (file_ops()->fstatat(AT_FDCWD, path, &st, 0) < 0)
		return spool_fail(error_r, errno, "module %s: %s", path,
				  strerror(errno));
	if (!S_ISREG(st.st_mode))
		return spool_fail(error_r, EINVAL,
				  "module %s: it is not a regular file", path);
	if ((st.st_mode & S_IWOTH) != 0)
		return spool_fail(error_r, EPERM,
				  "module %s: everybody may write the file "
				  "(chmod o-w)",
				  path);
	return 0;
}

static unsigned int count_kinds(void)
{
	unsigned int count = 0;

	while (stream_kind_get(count) != NULL)
		count++;
	return count;
}

/* An object whose init registered codecs stays for good: specs and messages are of them
   when the spool is closed. */
static int add_loaded(struct spool *spool, io_infrastructure *module,
		      const char *path, void *handle, const char *config,
		      char **error_r)
{
	unsigned int before = count_kinds();
	int ret = add_module(spool, module, path, handle, config, error_r);
	int old_errno = errno;

	if (count_kinds() > before)
		(void)dlopen(path, RTLD_NOW | RTLD_LOCAL);
	errno = old_errno;
	return ret;
}

static int load_object(struct spool *spool, const char *path,
		       const char *symbol, const char *config, char **error_r)
{
	io_infrastructure *module;
	const char *why;
	void *handle;
	int ret;

	if (check_file(path, error_r) < 0)
		return -1;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		why = dlerror();
		return spool_fail(error_r, EINVAL, "module %s: %s", path,
				  why != NULL ? why : "it cannot be loaded");
	}
	module = dlsym(handle, symbol);
	if (module == NULL)
		ret = spool_fail(error_r, EINVAL,
				 "module %s: it exports no \"%s\"", path,
				 symbol);
	else
		ret = add_loaded(spool, module, path, handle, config, error_r);
	if (ret < 0) {
		int old_errno = errno;

		(void)dlclose(handle);
		errno = old_errno;
	}
	return ret;
}

int spool_load_module(struct spool *spool, const char *path, const char *symbol,
		      const char *config, char **error_r)
{
	/* dlopen() looks elsewhere for what has no slash */
	char *full = i_strdup_printf(
		"%s%s", strchr(path, '/') == NULL ? "./" : "", path);
	int ret;

	ret = load_object(spool, full,
			  symbol == NULL ? SPOOL_MODULE_SYMBOL : symbol, config,
			  error_r);
	i_free(full);
	return ret;
}

int spool_load_conf_modules(struct spool *spool, char **error_r)
{
	const struct spool_conf_module *module;
	unsigned int i;
	char *why;

	for (i = 0; i < spool->conf.module_count; i++) {
		module = &spool->conf.modules[i];
		if (spool_load_module(spool, module->path, NULL, module->config,
				      &why) == 0)
			continue;
		/* whatever it is, the configuration asks for it in vain */
		(void)spool_fail(error_r, EINVAL,
				 "%s/" SPOOL_CONF_NAME ": line %u: %s",
				 spool->dir, module->line, why);
		free(why);
		return -1;
	}
	return 0;
}

void spool_unload_modules(struct spool *spool)
{
	struct spool_module *module;
	io_infrastructure *io;

	while (spool->module_count > 0) {
		module = &spool->modules[--spool->module_count];
		io = module->io;
		if (io->io_close != NULL)
			(void)io->io_close(io);
		/* deinit may free what is no shared object */
		if (module->handle == NULL)
			release_module(io, spool);
		if (io->shared.deinit != NULL)
			io->shared.deinit(io);
		if (module->handle != NULL) {
			release_module(io, spool);
			(void)dlclose(module->handle);
		}
	}
}
