# Who comes and goes: each event once, in order, with the time at which it happened; and the sweep that finds who fell silent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(shuffle sum0);
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $sites = 0;

# A site of which every name lies in the same part, so that the order of all its events can be told.
my $shards;
sub site {
    $script->call('FLUSHDB');
    $_->{number} = $_->{applied} = 0 for $script;
    return { site => 'events-' . ++$sites, shards => $shards, @_ };
}
sub events { my ($site, $zero) = @_; return [ $script->events($site, $zero) ] }
# Without those of users, and only those of users: with several parts they lie elsewhere.
sub of_sessions { return [ grep { !/^user/ } @{ events(@_) } ] }
sub of_users { return [ grep {/^user/} @{ events(@_) } ] }

for (1, 7) {
    $shards = $_;
    my $t = $script->now - 50_000;    # all are online, if the sweep may look

    subtest "coming and going, $shards parts" => sub {
        my $site = site();
        my $then = $t - 100_000;
        $script->add($site, entry('a', $then, $then, user => 'alice'));
        $script->add($site, entry('a', $then, $then + $_ * 1000)) for 1 .. 5;
        is_deeply(of_sessions($site, $then), ['online a alice 0'], 'online once');
        is_deeply(of_users($site, $then), ['user-online alice 0'], 'so is the user');
        is_deeply($script->sweep, [ 1, '' ], 'silent for longer than the timeout');
        is_deeply(of_sessions($site, $then), [ 'online a alice 0', 'offline a alice 95000' ], 'offline at the deadline, not when it was noticed');
        is_deeply(of_users($site, $then), [ 'user-online alice 0', 'user-offline alice 95000' ], 'and the user');
        is_deeply($script->sweep, [ 0, '' ], 'nobody else') for 1 .. 2;
        is($script->sessions_of($site, 'alice'), undef, 'no live session of alice');
        my $s = $script->session($site, 'a');
        ok(!exists $s->{due} && !exists $s->{left} && $s->{last} == $then + 5000, 'the session keeps all but its deadline');
        is_deeply($script->members($site, 'due'), {}, 'nobody is online');
        is_deeply($script->members($site, 'seen'), { a => $then + 5000 }, 'seen stays');
        is($script->call('EXISTS', 'hb:sites'), 0, 'the site is swept no more');
        $script->add($site, entry('a', $t, $t));
        is_deeply(of_sessions($site, $then)->[2], 'online a alice 100000', 'back again');
        is_deeply(of_users($site, $then)->[2], 'user-online alice 100000', 'as the same user');
        is($script->call('HGET', 'hb:sites', "$shards $site->{site}"), 7 * DAY, 'the site is swept again');
    };

    subtest "silent, then back, $shards parts" => sub {
        my $then = $t - 1_000_000;
        for my $swept (0, 1) {
            my $site = site();
            $script->add($site, entry('a', $then, $then + 1000, user => 'u'));
            $script->sweep if $swept;
            $script->add($site, entry('a', $then + 200_000, $then + 201_000));
            is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 91000', 'online a u 200000' ], "whether it was swept in between ($swept) or not");
            is_deeply(of_users($site, $then), [ 'user-online u 0', 'user-offline u 91000', 'user-online u 200000' ], 'the user too');
            is($script->sessions_of($site, 'u'), 1, 'one session');
        }
        my $site = site();
        $script->add($site, entry('a', $then, $then + 1000, user => 'u', bits => PAST), entry('a', $then + 91_001, $then + 92_000, bits => PAST), entry('a', $then + 300_000, $then + 300_000));
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 91000', 'online a u 91001', 'offline a u 182000', 'online a u 300000' ], 'three runs of one batch');
        is_deeply($script->members($site, 'due'), { a => $then + 390_000 }, 'the last one counts');
        $site = site();
        $script->add($site, entry('a', $then, $then));
        $script->add($site, entry('a', $then, $then + 90_000), entry('a', $then, $then + 180_000));
        is_deeply(of_sessions($site, $then), ['online a 0'], 'at the deadline itself it is not silent yet');
        $script->add($site, entry('a', $then + 270_000, $then + 270_000));
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'offline a 270000', 'online a 270000' ], 'where another run begins then, it was');
        $site = site();
        $script->add($site, entry('a', $then, $then));
        $script->sweep;
        $script->add($site, entry('a', $then, $then + 89_000));
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'offline a 90000', 'online a 89000' ], 'a sign that came too late for the sweep brings it back');
    };

    subtest "leaving, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'));
        $script->add($site, entry('a', $then, $then + 2000, bits => LEFT));
        is_deeply($script->members($site, 'due'), { a => $then + 7000 }, 'until the grace is over');
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'leave a u 2000', 'offline a u 7000' ], 'left, and offline');
        is($script->session($site, 'a')->{left}, undef, 'that is over');
        $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'));
        $script->add($site, entry('a', $then, $then + 2000, bits => LEFT));
        $script->add($site, entry('a', $then, $then + 6000));
        is($script->session($site, 'a')->{left}, undef, 'the next page came within the grace');
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 96000' ], 'so nobody left');
        $site = site();
        $script->add($site, entry('a', $then, $then + 2000, bits => LEFT));
        $script->add($site, entry('a', $then + 200_000, $then + 200_000));
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 2000', 'offline a 7000', 'online a 200000' ], 'back after a leave that was not swept');
        $site = site(grace => 3_600_000);
        $script->add($site, entry('a', $then, $then, bits => LEFT));
        is_deeply($script->members($site, 'due'), { a => $then + 90_000 }, 'the grace is no longer than the timeout');
        $site = site();
        $script->add($site, entry('a', $then, $then));
        $script->add($site, entry('a', $then, $then, bits => LEFT));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 0', 'offline a 5000' ], 'a leave in the millisecond of the last sign');
    };

    subtest "users, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'), entry('b', $then, $then + 10, user => 'u'));
        $script->other('second')->add($site, entry('c', $then, $then + 20_000, user => 'u'));
        is($script->sessions_of($site, 'u'), 3, 'three sessions');
        is_deeply(of_users($site, $then), ['user-online u 0'], 'one user');
        $script->sweep;
        is_deeply(of_users($site, $then), [ 'user-online u 0', 'user-offline u 110000' ], 'offline with the last one');
        is(scalar @{ of_sessions($site, $then) }, 6, 'each session for itself');

        $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'));
        $script->call('DEL', tag($site->{site}, $shards, 'u') . 'user');
        is_deeply($script->sweep, [ 1, '' ], 'a user whose count was lost');
        is_deeply(of_users($site, $then), ['user-online u 0'], 'goes without a word');
        is($script->sessions_of($site, 'u'), undef, 'and counts less than nobody no longer');

        $site = site();
        $script->add($site, entry('a', $then, $then));
        $script->add($site, entry('a', $then, $then + 1000), entry('a', $then + 2000, $then + 2000, user => 'u'));
        $script->add($site, entry('a', $then + 2000, $then + 5000), entry('a', $then + 6000, $then + 6000, user => 'v'));
        is_deeply(of_sessions($site, $then), ['online a 0'], 'a session that gets a user, and another one, stays online');
        is_deeply([ sort @{ of_users($site, $then) } ], [ sort 'user-online u 2000', 'user-offline u 6000', 'user-online v 6000' ], 'the users come and go');
        $script->sweep;
        is_deeply([ $script->sessions_of($site, 'u'), $script->sessions_of($site, 'v') ], [ undef, undef ], 'nobody is left');
        is(scalar(grep {/user-offline v 96000/} @{ of_users($site, $then) }), 1, 'v went');
    };

    # What an earlier sign says, told by a host that was slow, must not count a user twice or not at all.
    subtest "users told late, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then + 5000, $then + 5000));
        $script->other('late')->add($site, entry('a', $then, $then, user => 'u', page => '/late'));
        is_deeply([ $script->sessions_of($site, 'u'), @{ $script->session($site, 'a') }{qw(user page)} ], [ 1, 'u', '/late' ], 'a name where there was none');
        $script->sweep;
        is_deeply([ map {/^(\S+ \S+)/} @{ of_users($site, $then) } ], [ 'user-online u', 'user-offline u' ], 'comes and goes');

        $site = site();
        $script->add($site, entry('a', $then + 5000, $then + 5000, user => 'new', page => '/new'));
        $script->other('late2')->add($site, entry('a', $then, $then + 1000, user => 'old', page => '/old'));
        is_deeply([ @{ $script->session($site, 'a') }{qw(user page source last)} ], [ 'new', '/new', 'ping', $then + 5000 ], 'the later name stays');
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'old') ], [ 1, undef ], 'and counts');
        is($script->user($site, 'old')->{open_to}, $then + 1000, 'the time of the other one is his');
        $script->sweep;
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'old') ], [ undef, undef ], 'nobody is left');
        is_deeply(of_users($site, $then), [ 'user-online new 5000', 'user-offline new 95000' ], 'events of one user');

        $site = site();
        $script->add($site, entry('a', $then, $then, user => 'old'));
        $script->add($site, entry('a', $then, $then, user => 'new', page => '/new'));
        is_deeply([ $script->sessions_of($site, 'old'), $script->sessions_of($site, 'new'), @{ $script->session($site, 'a') }{qw(user page)} ], [ undef, 1, 'new', '/new' ], 'within the same millisecond the later batch counts');
        $script->sweep;
        $script->add($site, entry('a', $then, $then, user => 'third'));
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'third') ], [ undef, undef ], 'offline is offline');
        is_deeply($script->members($site, 'due'), {}, 'the same sign again brings nobody back');
    };

    # Hosts that were cut off for a while come back with runs that went on: their users are still there.
    subtest "after an outage, $shards parts" => sub {
        my $site = site();
        my $now = $script->now;
        $script->add($site, entry('a', $now, $now, user => 'u', bits => KEEP), entry('b', $now, $now, user => 'v', bits => KEEP));
        for my $user (qw(u v)) {
            my $users = tag($site->{site}, $shards, $user) . 'user';
            my $session = tag($site->{site}, $shards, $user eq 'u' ? 'a' : 'b') . 'session:' . ($user eq 'u' ? 'a' : 'b');
            cmp_ok($script->call('PTTL', $users), '>=', $script->call('PTTL', $session) - 100, "how many sessions $user has is known for as long as these are");
        }
    };

    subtest "what the sweep takes, $shards parts" => sub {
        my $now = $script->now;
        my $site = site();
        $script->add($site, map { entry("s$_", $now - 90_000 - 2000 + $_ * 100, $now - 90_000 - 2000 + $_ * 100) } 0 .. 19);
        is_deeply($script->sweep(slack => 60_000), [ 0, '' ], 'nobody within the slack');
        my $before = $script->now;
        my $taken = $script->sweep(slack => 1250)->[0];
        my @due = map { my $at = $_; scalar grep { $now - 2000 + $_ * 100 <= $at - 1250 } 0 .. 19 } $before, $script->now;
        ok($taken >= $due[0] && $taken <= $due[1], "those whose deadline was long enough ago: $taken of @due");
        is(scalar keys %{ $script->members($site, 'due') }, 20 - $taken, 'the others stay');
        for my $off (-501, -600, 2000, 10_000) {
            is_deeply($script->sweep(at => $script->now + $off), [ -1, '' ], "not by a host whose clock is off by $off ms, or that waited");
        }
        is(scalar keys %{ $script->members($site, 'due') }, 20 - $taken, 'they are still there');
        cmp_ok($script->sweep(at => $script->now + 400)->[0], '>=', 19 - $taken, 'by one that is nearly right') ;
        $script->sweep;
        is($script->call('EXISTS', 'hb:sites'), 0, 'nobody is left');

        # A sign that came after all: it is not taken, the deadline is looked at anew.
        $site = site();
        $script->add($site, entry('a', $now - 100_000, $now - 100_000), entry('b', $now - 100_000, $now - 100_000));
        $script->add($site, entry('a', $now - 100_000, $now));
        is_deeply($script->sweep, [ 1, '' ], 'one of two');
        is_deeply($script->members($site, 'due'), { a => $now + 90_000 }, 'a is still here');
    };

    subtest "in portions, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $first = site();
        my $second = { %$first, site => "second-$sites", shards => 3, retention => 60_000 };
        $script->add($first, map { entry("s$_", $then, $then, user => "u$_") } 1 .. 250);
        $script->add($second, map { entry("s$_", $then, $then) } 1 .. 30);
        my @taken;
        push @taken, $script->sweep(budget => 100)->[0] for 1 .. 3;
        is_deeply(\@taken, [ 100, 100, 80 ], 'as many as are allowed, over all sites');
        is($script->call('EXISTS', 'hb:sites'), 0, 'then the sites are done') or diag explain $script->call('HGETALL', 'hb:sites');
        is(scalar(grep {/^offline/} @{ events($first, $then) }), 250, 'all offline');
        is(scalar(grep {/^user-offline/} @{ events($first, $then) }), 250, 'all users');
        is(scalar(grep {/^offline/} $script->events($second, $then)), 30, 'of the other site too');
    };

    subtest "the stream forgets, $shards parts" => sub {
        my $site = site(retention => 1000);
        for my $round (1 .. 3) {
            my $now = $script->now;
            for my $some (1 .. 8) {
                $script->add($site, map { entry("s$round-$some-$_", $now, $now) } 1 .. 400);
            }
            sleep 0.7 if $round < 3;
        }
        my $count = sum0 map { $script->call('XLEN', "${_}events") } Heartbeat::Scripts::parts($site);
        cmp_ok($count, '<', 7500, "what is older than the retention, but for a few: $count");
        cmp_ok($count, '>=', 3200, 'and nothing newer');
    };

    # Many sessions, users, hosts, batches and sweeps: in the end, what came went, by turns and in order.
    subtest "at random, $shards parts" => sub {
        my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
        srand $seed;
        note "HEARTBEAT_SEED=$seed";
        my $site = site();
        my $then = $t - 13_000_000;
        my @hosts = map { $script->other("host$_") } 1 .. 3;
        my (%last, %start);
        my $clock = $then;
        for my $step (1 .. 600) {
            $clock += int rand 20_000;
            my $id = 's' . int rand 12;
            if (defined $last{$id} && $clock - $last{$id} <= 90_000) { $last{$id} = $clock }
            else { $start{$id} = $last{$id} = $clock }
            my $user = rand() < 0.1 ? 'u' . int rand 4 : '';
            $start{$id} = $clock if $user;
            $hosts[ rand 3 ]->add($site, entry($id, $start{$id}, $last{$id}, user => $user, bits => rand() < 0.05 ? LEFT : 0));
            $script->sweep(budget => 5) if rand() < 0.1;
        }
        while ($script->sweep(budget => 5)->[0]) { }
        my (%online, %users, %time, @wrong);
        for (@{ events($site, $then) }) {
            my ($event, @rest) = split ' ';
            my $at = pop @rest;
            if ($event =~ /^user-(on|off)line/) { push @wrong, $_ if ($users{ $rest[0] } // 'off') eq $1; $users{ $rest[0] } = $1 }
            elsif ($event eq 'leave') { push @wrong, $_ if ($online{ $rest[0] } // '') ne 'online'; $online{ $rest[0] } = 'left' }
            elsif ($event eq 'online') { push @wrong, $_ if ($online{ $rest[0] } // 'offline') ne 'offline'; $online{ $rest[0] } = 'online' }
            else { push @wrong, $_ if ($online{ $rest[0] } // '') !~ /online|left/; $online{ $rest[0] } = 'offline' }
        }
        is_deeply(\@wrong, [], 'by turns');
        is_deeply([ grep { $_ ne 'offline' } values %online ], [], 'all sessions offline in the end');
        is_deeply([ grep { $_ ne 'off' } values %users ], [], 'all users');
        is_deeply([ map { $script->call('EXISTS', "${_}user", "${_}due") } Heartbeat::Scripts::parts($site) ], [ (0) x ($shards == 1 ? 1 : 7) ], 'nothing is left over');
    };
}

done_testing;
