package suite

import (
	"fmt"

	"tocsin.dev/services/app"
	"tocsin.dev/services/scope/inventory"
)

// InventoryRoot opens scope's root keys: in a vault if one is set, else in a
// file, whose folder must exist.
func InventoryRoot(s *app.Settings) (inventory.Root, error) {
	if v := s.Keys.InventoryVault; v != (app.Vault{}) {
		root, err := inventory.OpenVaultRoot(inventory.Vault{Address: v.Address, TokenFile: v.TokenFile, Key: v.Key})
		if err != nil {
			return nil, fmt.Errorf("keys.inventory_vault: %w", err)
		}
		return root, nil
	}
	return inventory.OpenFileRoot(s.Key(s.Keys.Inventory, "inventory.key"))
}
