package vmem

// SwapTypeCount is the number of types that a swap entry can have: 1 <<
// MAX_SWAPFILES_SHIFT in include/linux/swap.h.
const SwapTypeCount = 32

// plainSwapTypes is how many types are swap files whatever the kernel: well below
// the lowest MAX_SWAPFILES there has been, 22 in 6.1 with all options on.
const plainSwapTypes = 16

// SwapTypes says how a kernel numbers the types of swap entries. Types count from
// 0 for swap files; the last of 32 types are special, in the order of the fields.
// Each field is how many types of its kind there are, which depends on the
// configuration and the age of the kernel (include/linux/swap.h):
//
//	HWPoison     SWP_HWPOISON_NUM      with MEMORY_FAILURE 1
//	Migration    SWP_MIGRATION_NUM     with MIGRATION 2; 3 since 5.19
//	Device       SWP_DEVICE_NUM        with DEVICE_PRIVATE 2; 4 since 5.14; 3 since 6.15
//	Marker       SWP_PTE_MARKER_NUM    with PTE_MARKER 1 since 5.19, always since 6.2
//	SwapinError  SWP_SWAPIN_ERROR_NUM  1 in 5.19 to 6.1
//
// Their sum is 32 less MAX_SWAPFILES, which is the length of the kernel's array
// swap_info.
//
// The zero value means that they are not known. Then types below 16, which are
// swap files in every kernel, give ErrSwapped, and all others ErrSpecialEntry: the
// same type is a migration in one kernel and device memory in another.
type SwapTypes struct {
	HWPoison, Migration, Device, Marker, SwapinError uint8
}

// Special returns how many types are not swap files.
func (t SwapTypes) Special() int {
	return int(t.HWPoison) + int(t.Migration) + int(t.Device) + int(t.Marker) + int(t.SwapinError)
}

// Reason returns why an entry of type typ has no page. PTE markers keep a property
// of an empty entry, so they are as good as empty: ErrNotPresent.
func (t SwapTypes) Reason(typ uint8) error {
	files := uint8(SwapTypeCount - t.Special())
	if t == (SwapTypes{}) {
		files = plainSwapTypes
	}
	migration := files + t.HWPoison
	marker := migration + t.Migration + t.Device
	switch {
	case typ < files:
		return ErrSwapped
	case typ >= migration && typ < migration+t.Migration:
		return ErrMigrating
	case typ >= marker && typ < marker+t.Marker:
		return ErrNotPresent
	}
	return ErrSpecialEntry
}
