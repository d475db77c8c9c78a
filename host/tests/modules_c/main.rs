//! C drivers, compiled for the kernel with gcc from this project's headers, loaded as modules, under real processes.
//!
//! Each test compiles a fixture and runs `ddi-host run --driver FIXTURE -- THIS PROGRAM --client NAME`: the client's half, a function of this
//! program, does what a user program would. Without gcc the tests are counted as ignored, and the reason is said once.

mod admin;
mod asked;
mod behind;
mod board;
mod crash;
mod devices;
mod events;
mod garbage;
mod kernel_names;
mod knots;
mod latch;
mod lend;
mod maps;
mod models;
mod names;
mod own;
mod package;
mod pairs;
mod regs;
mod root;
mod run;
mod shapes;
mod soft;
mod styles;
mod tally;
mod turns;
mod ways;
mod window;
mod wrong;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

type Named = (&'static str, fn());

/// `module: function, ...;` as a list of functions with their paths.
macro_rules! named {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),+),+]
    };
}

const TESTS: &[Named] = named! {
    admin: every_command_line_says_and_does_what_illumos_s_own_does;
    asked: a_run, a_machine_that_stays_up, a_driver_that_dies_takes_everything_with_it;
    behind: a_segment_has_all_its_handles_and_shrinks, a_child_s_segment_and_a_split_in_it,
        protections_and_contexts_are_seen;
    board: configuration_space_capabilities_and_dma, interrupts_of_every_kind_reach_their_handlers,
        a_device_copies_memory_and_interrupts, processes_map_a_base_address_register,
        a_device_reaches_memory_that_nobody_locked,
        a_handler_that_may_block_is_reported, a_handler_that_does_not_claim_its_interrupt_is_reported,
        a_description_that_is_wrong_is_refused, a_system_binds_devices_by_alias;
    crash: a_crash_is_reported_once_and_ends_everything, a_call_that_does_not_come_back, a_close_that_does_not_come_back;
    devices: kernel_memory, containers_and_probes, timeouts_task_queues_threads, locks,
        waits_end_by_wakeup_signal_and_time, a_killed_waiter_leaves_the_driver,
        a_process_s_own_memory_is_pinned, memory_of_every_kind_is_pinned,
        a_fork_copies_pinned_memory_with_the_rest;
    events: poll_asks_the_driver, a_driver_without_poll_makes_poll_fail, pollwakeup_wakes_from_every_context, a_poll_ends_by_signal_close_and_time, select_asks_the_driver, epoll_asks_the_driver, nonblocking_files;
    garbage: without_garbage_nothing_is_said, tables_that_lead_nowhere, linkages_that_lead_nowhere,
        entry_points_that_crash, entry_points_that_never_end, functions_that_nobody_has;
    kernel_names: a_disk_of_pages_is_read_and_written_as_block_and_raw_device, physical_addresses_are_mapped,
        a_driver_uses_another_s_device, pages_are_mapped_by_hand, frames_are_mapped_by_hand;
    knots: locks_taken_in_two_orders, functions_that_are_waited_for_under_their_mutex, readers_and_writers,
        a_thread_that_ends_with_a_mutex, no_deadlock_is_seen_where_there_is_none;
    latch: an_access_is_tried_again_until_something_is_loaded, a_thread_goes_on_when_its_callback_has_returned, a_timed_wait_takes_its_time_and_no_longer, a_signal_s_handler_runs_and_the_access_is_tried_again, a_handler_may_leave_the_access_for_good, stopping_and_ending_a_thread_that_waits, a_fork_beside_a_thread_that_waits, a_fork_beside_calls_that_wait,
        a_fork_that_waits_for_a_driver_says_so;
    lend: memory_is_lent_split_inherited_paused_and_called_back;
    maps: callbacks_see_what_the_process_does, a_child_has_an_address_space_of_its_own,
        a_remapped_handle_shows_other_memory, a_driver_is_told_lengths_as_they_are,
        exit_without_unmapping_calls_back, many_mappings_cost_what_few_do_and_leave_no_memory_behind;
    names: device_ids, nobody_answers_at_io_ports, functions_of_many_kinds;
    own: two_modules_with_their_own_framework_and_one_without;
    package: it_installs_and_removes, what_does_not_attach_is_taken_back_with_advice,
        another_system_is_left_alone_and_so_is_this_one, an_old_module_that_is_busy_is_named;
    pairs: lists_are_made_walked_and_packed;
    models: programs_of_64_bits, programs_as_of_32_bits;
    regs: registers_are_shared_by_driver_and_processes, without_register_sets_it_does_not_attach;
    root: drivers_are_installed_run_and_removed, names_in_dev_are_the_links_that_devlink_tab_makes,
        a_driver_that_does_not_attach_is_installed_with_a_warning, a_driver_in_use_cannot_be_unloaded,
        a_machine_that_stays_up_keeps_drivers_while_programs_come_and_go,
        a_device_whose_module_was_unloaded_is_attached_again_when_it_is_opened,
        modules_are_loaded_by_file_and_by_name, what_the_module_commands_say_when_they_are_called_wrongly,
        a_directory_that_is_no_system_is_refused_and_left_as_it_is,
        modinfo_shows_a_module_and_what_it_needs;
    shapes: every_way_of_compiling_and_linking, options_that_do_not_fit_are_named,
        modules_that_depend_on_others;
    soft: properties_and_ioctl, reading_writing_and_opening, no_instance_attaches;
    styles: correct_drivers_hear_nothing;
    tally: each_open_is_a_device_of_its_own, a_driver_accepts_fionbio_and_fionread, edges_are_calls_of_pollwakeup;
    turns: the_page_goes_from_hand_to_hand, who_keeps_the_page_makes_others_wait,
        a_stopped_owner_does_not_block_the_others, a_signal_ends_the_driver_s_wait_in_a_fault;
    ways: every_way_to_a_device;
    window: a_segment_s_whole_life, fork_exit_and_refusals, protections_and_questions;
    wrong: without_a_mistake_nothing_is_reported, mutexes, readers_writer_locks,
        sleeping_where_it_is_forbidden, kernel_memory, exported_memory, mappings_that_have_gone,
        devmap_calls_outside_their_context, what_is_left_at_detach,
        pointers_that_are_not_what_they_should_be, accesses_that_are_not_served;
};

const CLIENTS: &[Named] = named! {
    asked: client_of_waits;
    behind: client_of_a_segment_has_all_its_handles_and_shrinks,
        client_of_a_child_s_segment_and_a_split_in_it, client_of_protections_and_contexts_are_seen;
    board: client_of_configuration_space_capabilities_and_dma,
        client_of_interrupts_of_every_kind_reach_their_handlers,
        client_of_a_device_copies_memory_and_interrupts, client_of_processes_map_a_base_address_register,
        client_of_a_device_reaches_memory_that_nobody_locked,
        client_of_one_interrupt;
    crash: client_of_crashes, client_of_a_call_that_does_not_come_back, client_of_a_close_that_does_not_come_back;
    devices: client_of_kernel_memory, client_of_containers_and_probes,
        client_of_timeouts_task_queues_threads, client_of_locks,
        client_of_waits_end_by_wakeup_signal_and_time, client_of_a_killed_waiter_leaves_the_driver,
        client_of_a_process_s_own_memory_is_pinned, client_of_memory_of_every_kind_is_pinned,
        client_of_a_fork_copies_pinned_memory_with_the_rest;
    events: client_of_poll_asks_the_driver, client_of_a_driver_without_poll_makes_poll_fail, client_of_pollwakeup_wakes_from_every_context, client_of_a_poll_ends_by_signal_close_and_time, client_of_select_asks_the_driver, client_of_epoll_asks_the_driver, client_of_nonblocking_files;
    kernel_names: client_of_a_disk_of_pages_is_read_and_written_as_block_and_raw_device,
        client_of_physical_addresses_are_mapped, client_of_a_driver_uses_another_s_device,
        client_of_pages_are_mapped_by_hand, client_of_frames_are_mapped_by_hand;
    latch: client_of_an_access_is_tried_again_until_something_is_loaded, client_of_a_thread_goes_on_when_its_callback_has_returned, client_of_a_timed_wait_takes_its_time_and_no_longer, client_of_a_signal_s_handler_runs_and_the_access_is_tried_again, client_of_a_handler_may_leave_the_access_for_good, client_of_stopping_and_ending_a_thread_that_waits, client_of_a_fork_beside_a_thread_that_waits,
        client_of_a_fork_beside_calls_that_wait, client_of_a_fork_that_waits_for_a_driver_says_so;
    knots: client_of_knots;
    lend: client_of_memory_is_lent_split_inherited_paused_and_called_back;
    maps: client_of_callbacks_see_what_the_process_does,
        client_of_a_child_has_an_address_space_of_its_own,
        client_of_a_remapped_handle_shows_other_memory,
        client_of_a_driver_is_told_lengths_as_they_are, client_of_exit_without_unmapping_calls_back,
        client_of_many_mappings_cost_what_few_do_and_leave_no_memory_behind;
    models: client_of_programs_of_64_bits, client_of_programs_as_of_32_bits;
    names: client_of_device_ids, client_of_nobody_answers_at_io_ports,
        client_of_functions_of_many_kinds;
    own: client_of_two_modules_with_their_own_framework_and_one_without;
    pairs: client_of_lists_are_made_walked_and_packed;
    regs: client_of_registers_are_shared_by_driver_and_processes;
    root: client_of_drivers_are_installed_run_and_removed, client_of_a_machine_that_stays_up;
    shapes: client_of_shapes;
    soft: client_of_properties_and_ioctl, client_of_reading_writing_and_opening,
        client_of_no_instance_attaches;
    styles: client_of_styles;
    tally: client_of_each_open_is_a_device_of_its_own, client_of_a_driver_accepts_fionbio_and_fionread,
        client_of_edges_are_calls_of_pollwakeup;
    turns: client_of_the_page_goes_from_hand_to_hand, client_of_who_keeps_the_page_makes_others_wait,
        client_of_a_stopped_owner_does_not_block_the_others,
        client_of_a_signal_ends_the_driver_s_wait_in_a_fault;
    ways: client_of_every_way_to_a_device;
    window: client_of_a_segment_s_whole_life, client_of_fork_exit_and_refusals,
        client_of_protections_and_questions;
    wrong: client_of_mistakes, client_of_accesses_that_are_not_served;
};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--client") {
        return client(&args.next().unwrap_or_default());
    }
    let arguments = Arguments::from_args();
    let missing = !run::have_compiler();
    if missing && !arguments.list {
        println!("ignored: there is no gcc to compile the fixtures with (apt-get install gcc)");
    }
    let trial = |&(name, test): &Named| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing)
    };
    libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect()).exit_code()
}

/// Plays a client's half; a panic is its failure.
fn client(name: &str) -> ExitCode {
    let Some((_, half)) = CLIENTS.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no client's half {name}");
        return ExitCode::from(2);
    };
    half();
    println!("{}", run::PASSED);
    ExitCode::SUCCESS
}
